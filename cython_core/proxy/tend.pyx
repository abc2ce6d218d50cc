from libc.stdint cimport uint16_t, uint32_t

from cython_core.proxy.conntable cimport (
    ACTIVITY_TICK_S, CONN_BY_SERVER, CONN_RST_DOUBTFUL, STATE_CLOSED, STATE_HALF_CLOSED,
    STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT, Connection, conntable_entry,
    conntable_sweep,
)
from cython_core.proxy.counters cimport (
    CONN_EXPIRED, SERVER_SYN_RETRANS, SERVER_TIMEOUT, count,
)
from cython_core.proxy.half_open cimport (
    HalfOpen, half_open_arm, half_open_release, half_open_wake,
)
from cython_core.proxy.handshake cimport Envelope, envelope_reverse
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.synproxy cimport (
    client_rst_compose, connection_close, connection_remove, outbox_peek, outbox_push,
    server_syn_compose,
)
from cython_core.wire.seq cimport ticks_since

cdef enum:
    ORPHAN_TICKS = 3600 // ACTIVITY_TICK_S      # idle time where no service says otherwise


cdef void proxy_tend(Proxy *proxy) noexcept nogil:
    tend_half_open(proxy)
    tend_connections(proxy)


cdef void tend_half_open(Proxy *proxy) noexcept nogil:
    cdef uint32_t ticks = TEND_TICKS
    cdef uint32_t _wake
    cdef HalfOpen *record
    for _wake in range(TEND_WAKES):
        if outbox_peek(proxy) == NULL:
            return
        record = half_open_wake(proxy.half_open, proxy.now_ms, &ticks)
        if record == NULL:
            return
        if record.syns_sent > record.syn_retries:
            server_given_up(proxy, record)
        else:
            server_syn_again(proxy, record)


cdef void server_syn_again(Proxy *proxy, HalfOpen *record) noexcept nogil:
    cdef Connection *conn = conntable_entry(proxy.table, record.connection)
    record.syns_sent += 1
    record.syn_timeout_ms *= 2
    half_open_arm(proxy.half_open, record, proxy.now_ms, record.syn_timeout_ms)
    outbox_push(proxy, server_syn_compose(outbox_peek(proxy), record, &conn.flow), True,
                record.row)
    count(proxy.rows, record.row, SERVER_SYN_RETRANS)


# The client believes to be connected: tell it.
cdef void server_given_up(Proxy *proxy, HalfOpen *record) noexcept nogil:
    cdef Connection *conn = conntable_entry(proxy.table, record.connection)
    cdef Envelope envelope = record.envelope
    envelope_reverse(&envelope)
    outbox_push(proxy, client_rst_compose(outbox_peek(proxy), &envelope, conn), False, record.row)
    count(proxy.rows, record.row, SERVER_TIMEOUT)
    connection_close(proxy, conn, STATE_REFUSED, record.row)
    half_open_release(proxy.half_open, record)


# The whole table is looked through once in each tick of the activity clock.
cdef void tend_connections(Proxy *proxy) noexcept nogil:
    cdef uint32_t steps = TEND_SWEEP
    cdef Connection *conn
    if proxy.sweep_tick != proxy.now_active:
        proxy.sweep_tick = proxy.now_active
        proxy.sweep_left = proxy.table.fresh
    if steps > proxy.sweep_left:
        steps = proxy.sweep_left
    proxy.sweep_left -= steps
    while steps > 0:
        conn = conntable_sweep(proxy.table, &steps)
        if conn != NULL and conn.state != STATE_SYN_SENT:
            connection_expire(proxy, conn)


cdef void connection_expire(Proxy *proxy, Connection *conn) noexcept nogil:
    cdef const Service *service = snapshot_match(
        proxy.snapshot, conn.flow.server_address, conn.flow.server_port)
    cdef uint32_t row = 0
    cdef uint16_t limit = ORPHAN_TICKS
    cdef uint16_t tombstone = 0
    cdef uint16_t idle
    if service != NULL:
        row = service.row
        limit = idle_limit(service, conn)
        tombstone = service.closed_ticks
    idle = ticks_since(conn.active, proxy.now_active)
    if idle <= limit:
        return
    if idle <= tombstone and not conn.flags & CONN_BY_SERVER:
        conn.state = STATE_CLOSED       # its cookie may still be good, and must open nothing
        return
    connection_remove(proxy, conn)
    count(proxy.rows, row, CONN_EXPIRED)


cdef inline uint16_t idle_limit(const Service *service, const Connection *conn) noexcept nogil:
    if conn.state >= STATE_CLOSED:
        return service.closed_ticks
    if conn.state == STATE_TIME_WAIT or conn.flags & CONN_RST_DOUBTFUL:
        return service.time_wait_ticks
    if conn.state == STATE_HALF_CLOSED:
        return service.half_closed_ticks
    return service.established_ticks
