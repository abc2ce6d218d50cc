from libc.stdint cimport uint8_t, uint16_t, uint32_t

from cython_core.proxy.activation cimport activation_count_connection, activation_settle
from cython_core.proxy.answering cimport window_update_compose
from cython_core.proxy.census cimport census_close, census_count
from cython_core.proxy.conntable cimport (
    ACTIVITY_TICK_S, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_WINDOW_TOLD, STATE_CLOSED,
    STATE_ESTABLISHED, STATE_HALF_CLOSED, STATE_SYN_SENT, STATE_TIME_WAIT, Connection,
    conntable_entry, conntable_sweep,
)
from cython_core.proxy.counters cimport (
    CONN_EXPIRED, COOKIES_OFF, COOKIES_ON, SERVER_SYN_RETRANS, SERVER_TIMEOUT, WINDOW_REPEATED,
    count,
)
from cython_core.proxy.events cimport event_note
from cython_core.proxy.from_client cimport client_early_deliver
from cython_core.proxy.half_open cimport (
    STAGE_WINDOW, HalfOpen, half_open_arm, half_open_delivered, half_open_delivery,
    half_open_entry, half_open_wake,
)
from cython_core.proxy.handshake cimport Envelope, envelope_reverse
from cython_core.proxy.pacing cimport pacing_tend
from cython_core.proxy.parting cimport PARTINGS_A_STEP, Parting, parting_take
from cython_core.proxy.pulse cimport TOLD_NOTHING, TOLD_OFF, TOLD_ON, Pulse
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.synproxy cimport (
    WINDOW_TIMEOUT_MS, client_rst_push, connection_remove, handshake_end, handshake_give_up,
    handshake_settle, outbox_peek, outbox_push, server_rst_push, server_syn_push,
)
from cython_core.wire.cache cimport __builtin_prefetch
from cython_core.wire.seq cimport ticks_since

cdef enum:
    WINDOWS_MAX = 4             # of them: 200, 400, 800, 1600 ms
    ORPHAN_TICKS = 3600 // ACTIVITY_TICK_S      # idle time where no service says otherwise


cdef uint32_t proxy_tend(Proxy *proxy) noexcept nogil:
    cdef uint32_t due = tend_partings(proxy)
    due += tend_early_data(proxy)
    due += pacing_tend(proxy)
    due += tend_half_open(proxy)
    due += tend_connections(proxy)
    tend_activation(proxy)
    return due


# Who finds no spare frame isn't told, and has been counted as ended all the same.
cdef uint32_t tend_partings(Proxy *proxy) noexcept nogil:
    cdef Parting *parting
    cdef uint32_t told
    for told in range(PARTINGS_A_STEP):
        if outbox_peek(proxy) == NULL:
            return told
        parting = parting_take(&proxy.partings)
        if parting == NULL:
            return told
        client_rst_push(proxy, &parting.envelope, &parting.flow, parting.client_seq, parting.row)
        server_rst_push(proxy, &parting.envelope, &parting.flow, parting.server_seq, parting.row)
    return PARTINGS_A_STEP


# What waited for the servers that have answered now.
cdef uint32_t tend_early_data(Proxy *proxy) noexcept nogil:
    cdef HalfOpen *record = half_open_delivery(proxy.half_open)
    cdef Connection *conn
    cdef uint32_t due = 0
    while record != NULL:
        due += 1
        conn = half_open_entry(proxy.table, record)
        if conn != NULL and not client_early_deliver(proxy, record, conn):
            return due              # for want of frames: the next turn goes on
        half_open_delivered(proxy.half_open)
        if conn != NULL:
            handshake_settle(proxy, record)
        else:
            handshake_end(proxy, record)
        record = half_open_delivery(proxy.half_open)
    return due


cdef uint32_t tend_half_open(Proxy *proxy) noexcept nogil:
    cdef uint32_t ticks = TEND_TICKS
    cdef uint32_t wakes
    cdef HalfOpen *record
    for wakes in range(TEND_WAKES):
        if outbox_peek(proxy) == NULL:
            return wakes
        record = half_open_wake(proxy.half_open, proxy.now_ms, &ticks)
        if record == NULL:
            return wakes
        if record.stage == STAGE_WINDOW:
            window_again(proxy, record)
        elif record.syns_sent > record.syn_retries:
            handshake_give_up(proxy, record, SERVER_TIMEOUT)
        else:
            server_syn_again(proxy, record)
    return TEND_WAKES


# The client has seen no window yet, unless something of it has come since, or the server has told
# a newer one; its own probes would find out later (RFC 9293 §3.8.6.1).
cdef void window_again(Proxy *proxy, HalfOpen *record) noexcept nogil:
    cdef Connection *conn = half_open_entry(proxy.table, record)
    cdef Envelope envelope = record.envelope
    if (conn == NULL or conn.state != STATE_ESTABLISHED or record.windows_said == WINDOWS_MAX
            or conn.flags & CONN_WINDOW_TOLD or conn.server_ack != record.client_isn + 1
            or conn.client_ack != record.isn + 1 - conn.seq_offset):
        handshake_end(proxy, record)
        return
    record.windows_said += 1
    half_open_arm(proxy.half_open, record, proxy.now_ms, WINDOW_TIMEOUT_MS << record.windows_said)
    envelope_reverse(&envelope)
    outbox_push(proxy, window_update_compose(outbox_peek(proxy), &envelope, &conn.flow, record),
                False, record.row)
    count(proxy.rows, record.row, WINDOW_REPEATED)


cdef void server_syn_again(Proxy *proxy, HalfOpen *record) noexcept nogil:
    cdef Connection *conn = conntable_entry(proxy.table, record.connection)
    record.syns_sent += 1
    record.syn_timeout_ms *= 2
    server_syn_push(proxy, record, conn, SERVER_SYN_RETRANS)


# One service a turn: cookies go off by time alone, while no SYN comes.
cdef void tend_activation(Proxy *proxy) noexcept nogil:
    cdef const Service *service
    cdef Pulse *pulse
    if proxy.pulse_at >= proxy.snapshot.service_count:
        proxy.pulse_at = 0
        if proxy.snapshot.service_count == 0:
            return
    # Of the next turn.  Its row is the one behind its place.
    __builtin_prefetch(&proxy.snapshot.services[proxy.pulse_at + 1])
    __builtin_prefetch(&proxy.rows[proxy.pulse_at + 2].pulse)
    __builtin_prefetch(proxy.rows[proxy.pulse_at + 2].counters)
    service = &proxy.snapshot.services[proxy.pulse_at]
    if service.row != 0:
        pulse = &proxy.rows[service.row].pulse
        activation_settle(pulse, service, proxy.rows, proxy.now_ms)
        tell_switch(proxy, pulse, service.row)
    proxy.pulse_at += 1


# A beginning is no switch.
cdef inline void tell_switch(Proxy *proxy, Pulse *pulse, uint32_t row) noexcept nogil:
    cdef uint8_t now = TOLD_ON if pulse.active or pulse.guarded else TOLD_OFF
    if pulse.told == now:
        return
    if pulse.told != TOLD_NOTHING:
        event_note(proxy.events, proxy.now_ns, COOKIES_ON if now == TOLD_ON else COOKIES_OFF, row,
                   NULL)
    pulse.told = now


# The whole table is looked through once in each tick of the activity clock, or more slowly where a
# tick is too short for it.
cdef uint32_t tend_connections(Proxy *proxy) noexcept nogil:
    cdef uint32_t steps = TEND_SWEEP
    cdef uint32_t due = 0
    cdef Connection *conn
    if proxy.sweep_left == 0:
        if proxy.sweep_tick == proxy.now_active:
            return 0
        proxy.sweep_tick = proxy.now_active
        proxy.sweep += 1
        proxy.sweep_left = proxy.table.fresh
    if steps > proxy.sweep_left:
        steps = proxy.sweep_left
    proxy.sweep_left -= steps
    while steps > 0:
        conn = conntable_sweep(proxy.table, &proxy.table.sweep_at, &steps)
        if conn != NULL:
            due += connection_visit(proxy, conn)
    if proxy.sweep_left == 0:
        census_close(&proxy.census, proxy.sweep)
    return due


# Whether its time was over.
cdef bint connection_visit(Proxy *proxy, Connection *conn) noexcept nogil:
    cdef const Service *service = snapshot_match(
        proxy.snapshot, conn.flow.server_address, conn.flow.server_port)
    if service != NULL:
        activation_count_connection(&proxy.rows[service.row].pulse, proxy.sweep)
    census_count(&proxy.census, conn)
    return conn.state != STATE_SYN_SENT and connection_expire(proxy, conn, service)


cdef bint connection_expire(Proxy *proxy, Connection *conn,
                            const Service *service) noexcept nogil:
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
        return False
    if idle <= tombstone and not conn.flags & CONN_PASSES:
        conn.state = STATE_CLOSED       # its cookie may still be good, and must open nothing
        return True
    connection_remove(proxy, conn)
    count(proxy.rows, row, CONN_EXPIRED)
    return True


cdef inline uint16_t idle_limit(const Service *service, const Connection *conn) noexcept nogil:
    if conn.state > STATE_TIME_WAIT:
        return service.closed_ticks
    if conn.state == STATE_TIME_WAIT or conn.flags & CONN_RST_DOUBTFUL:
        return service.time_wait_ticks
    if conn.state == STATE_HALF_CLOSED:
        return service.half_closed_ticks
    return service.established_ticks
