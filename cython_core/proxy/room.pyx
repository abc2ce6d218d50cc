from libc.stdint cimport uint8_t, uint16_t

from cython_core.proxy.conntable cimport (
    CONN_PASSES, CONN_WINDOW_TOLD, STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT,
    conntable_entry, conntable_insert, conntable_sweep,
)
from cython_core.proxy.counters cimport (
    CONN_EVICTED, HALF_OPEN_EVICTED, IDLE_EVICTED, OPENING_EVICTED, PARTING_LOST, UNUSED_EVICTED,
    WINDOW_EVICTED, count,
)
from cython_core.proxy.events cimport event_note
from cython_core.proxy.half_open cimport (
    STAGE_SERVER_AWAITED, STAGE_WINDOW, half_open_take,
)
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.links cimport links_find
from cython_core.proxy.parting cimport Parting, parting_add
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.synproxy cimport connection_close, connection_remove, handshake_end
from cython_core.wire.seq cimport ticks_since

# Of what was taken away, by RoomClass.
cdef uint8_t[ROOM_ACTIVE] COUNTERS = [CONN_EVICTED, OPENING_EVICTED, UNUSED_EVICTED, IDLE_EVICTED]


cdef struct Candidate:
    Connection *conn
    uint32_t room_class         # a RoomClass
    uint16_t silent             # ticks of the activity clock
    uint32_t row                # of its service


cdef Connection *room_enter(Proxy *proxy, const Flow *flow, uint64_t digest,
                            uint32_t last) noexcept nogil:
    cdef Connection *conn = conntable_insert(proxy.table, digest, flow)
    if conn == NULL and proxy.table.used == proxy.table.capacity and room_in_table(proxy, last):
        conn = conntable_insert(proxy.table, digest, flow)
    return conn


cdef HalfOpen *room_take(Proxy *proxy) noexcept nogil:
    cdef HalfOpen *record = half_open_take(proxy.half_open)
    if record == NULL and room_in_pool(proxy):
        record = half_open_take(proxy.half_open)
    return record


cdef bint room_in_table(Proxy *proxy, uint32_t last) noexcept nogil:
    cdef uint32_t steps = ROOM_STEPS
    cdef Candidate best, next
    best.room_class = ROOM_ACTIVE
    best.silent = 0
    while steps > 0 and best.room_class != ROOM_ENDED:
        next.conn = conntable_sweep(proxy.table, &proxy.table.evict_at, &steps)
        if next.conn == NULL:
            break
        candidate_judge(proxy, &next)
        if next.room_class < best.room_class or (
                next.room_class == best.room_class and next.room_class != ROOM_ACTIVE
                and next.silent > best.silent):
            best = next
    if best.room_class > last:
        return False
    candidate_go(proxy, &best)
    return True


cdef void candidate_judge(const Proxy *proxy, Candidate *candidate) noexcept nogil:
    cdef const Connection *conn = candidate.conn
    cdef const Service *service = snapshot_match(
        proxy.snapshot, conn.flow.server_address, conn.flow.server_port)
    candidate.row = 0 if service == NULL else service.row
    candidate.silent = ticks_since(conn.active, proxy.now_active)
    if conn.state >= STATE_TIME_WAIT:
        candidate.room_class = ROOM_ENDED
    elif conn.state == STATE_SYN_SENT:
        candidate.room_class = ROOM_ACTIVE
        if is_late(&proxy.half_open.records[conn.client_ack]):
            candidate.room_class = ROOM_OPENING
    elif candidate.silent >= UNUSED_TICKS and not conn.flags & (CONN_WINDOW_TOLD | CONN_PASSES):
        candidate.room_class = ROOM_UNUSED
    # Nothing translates what is of no service any more.
    elif service == NULL or candidate.silent > service.active_ticks:
        candidate.room_class = ROOM_IDLE
    else:
        candidate.room_class = ROOM_ACTIVE


# A server that is there has answered by then.
cdef inline bint is_late(const HalfOpen *record) noexcept nogil:
    return record.stage == STAGE_SERVER_AWAITED and record.syns_sent > 1


cdef void candidate_go(Proxy *proxy, const Candidate *candidate) noexcept nogil:
    cdef Connection *conn = candidate.conn
    cdef uint8_t counter = COUNTERS[candidate.room_class]
    event_note(proxy.events, proxy.now_ns, counter, candidate.row, &conn.flow)
    count(proxy.rows, candidate.row, counter)
    if candidate.room_class == ROOM_OPENING:
        opening_part(proxy, conn, &proxy.half_open.records[conn.client_ack])
        handshake_end(proxy, &proxy.half_open.records[conn.client_ack])
    elif candidate.room_class != ROOM_ENDED and not conn.flags & CONN_PASSES:
        part(proxy, conn, links_find(proxy.links, proxy.table, conn),
             conn.client_ack + conn.seq_offset, conn.server_ack, candidate.row)
    connection_remove(proxy, conn)


# Its tombstone stays: there may be room in the table.
cdef bint room_in_pool(Proxy *proxy) noexcept nogil:
    cdef HalfOpen *late = NULL
    cdef HalfOpen *record
    cdef Connection *conn
    cdef uint32_t _step
    for _step in range(ROOM_STEPS):
        record = record_next(proxy)
        if record.stage == STAGE_WINDOW:
            count(proxy.rows, record.row, WINDOW_EVICTED)
            handshake_end(proxy, record)
            return True
        if is_late(record) and (late == NULL or record.syns_sent > late.syns_sent):
            late = record
    if late == NULL:
        return False
    conn = conntable_entry(proxy.table, late.connection)
    event_note(proxy.events, proxy.now_ns, HALF_OPEN_EVICTED, late.row, &conn.flow)
    count(proxy.rows, late.row, HALF_OPEN_EVICTED)
    opening_part(proxy, conn, late)
    connection_close(proxy, conn, STATE_REFUSED, late.row)
    handshake_end(proxy, late)
    return True


# All are in use.
cdef inline HalfOpen *record_next(Proxy *proxy) noexcept nogil:
    cdef uint32_t at = proxy.half_open.evict_at
    if at >= proxy.half_open.capacity:
        at = 0
    proxy.half_open.evict_at = at + 1
    return &proxy.half_open.records[at]


# The client believes to be connected, and the server may have become SYN-RECEIVED.
cdef void opening_part(Proxy *proxy, const Connection *conn, const HalfOpen *record) noexcept nogil:
    part(proxy, conn, &record.envelope, conn.isn + 1, record.client_isn + 1, record.row)


cdef void part(Proxy *proxy, const Connection *conn, const Envelope *envelope, uint32_t client_seq,
               uint32_t server_seq, uint32_t row) noexcept nogil:
    cdef Parting *parting = NULL if envelope == NULL else parting_add(&proxy.partings)
    if parting == NULL:
        count(proxy.rows, row, PARTING_LOST)
        return
    parting.flow = conn.flow
    parting.envelope = envelope[0]
    parting.client_seq = client_seq
    parting.server_seq = server_seq
    parting.row = row
