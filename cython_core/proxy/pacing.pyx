from cython_core.proxy.conntable cimport Connection, conntable_entry
from cython_core.proxy.counters cimport PACING_TIMEOUT, SERVER_SYN_SENT
from cython_core.proxy.gate cimport GATE_NS_PER_S, GATE_SHUT, gate_spend
from cython_core.proxy.half_open cimport HalfOpen, HalfOpenPool, half_open_turn
from cython_core.proxy.pacers cimport (
    Pacer, Pacers, pacers_digest, pacers_enter, pacers_find, pacers_next,
)
from cython_core.proxy.service cimport snapshot_match
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, handshake_give_up, outbox_peek, server_syn_push,
)


cdef uint32_t pacing_place(Proxy *proxy, const Flow *flow, uint64_t now_ns) noexcept nogil:
    return pacers_find(proxy.half_open.pacers, pacers_digest(
        flow.server_address, flow.server_port, &proxy.table_key), now_ns)


cdef bint pacing_takes(const Proxy *proxy, const Service *service, uint32_t place) noexcept nogil:
    cdef const HalfOpenPool *pool = proxy.half_open
    cdef const Pacer *pacer = &pool.pacers.pacer[place]
    cdef uint64_t turn_ns
    if place == PACER_NONE:
        return False
    turn_ns = turn_of(pacer, service, proxy.now_ns)
    if turn_ns <= proxy.now_ns and pacer.waiting == 0:
        return True
    # The other half is for servers that answer.
    return (pool.pacers.waiting < (pool.capacity + 1) >> 1
            and turn_ns <= proxy.now_ns + <uint64_t>service.pacing_wait_ms * NS_PER_MS)


cdef inline uint64_t interval_of(const Service *service) noexcept nogil:
    return (<uint64_t>GATE_NS_PER_S + service.pacing_rate - 1) // service.pacing_rate


# Of who comes now, behind all that wait.
cdef inline uint64_t turn_of(const Pacer *pacer, const Service *service,
                             uint64_t now_ns) noexcept nogil:
    cdef uint64_t interval_ns = interval_of(service)
    cdef uint64_t oldest_ns = now_ns - service.pacing_burst * interval_ns
    return max(pacer.spent_ns, oldest_ns) + (<uint64_t>pacer.waiting + 1) * interval_ns


cdef bint pacing_holds(Proxy *proxy, const Service *service, uint32_t place) noexcept nogil:
    cdef Pacer *pacer = &proxy.half_open.pacers.pacer[place]
    return pacer.waiting > 0 or not is_turn(pacer, service, proxy.now_ns)


# If so, it is spent.
cdef inline bint is_turn(Pacer *pacer, const Service *service, uint64_t now_ns) noexcept nogil:
    cdef uint64_t spent_ns = gate_spend(
        pacer.spent_ns, service.pacing_rate, service.pacing_burst, now_ns)
    if spent_ns == GATE_SHUT:
        return False
    pacer.spent_ns = spent_ns
    pacer.whole_ns = spent_ns + service.pacing_burst * interval_of(service)
    return True


cdef uint32_t pacing_tend(Proxy *proxy) noexcept nogil:
    cdef Pacers *pacers = proxy.half_open.pacers
    cdef uint32_t looks = min(pacers.in_round, <uint32_t>PACING_A_STEP)
    cdef uint32_t gone = 0
    cdef uint32_t at, _look
    for _look in range(looks):
        at = pacers_next(pacers)
        while gone < PACING_A_STEP and head_goes(proxy, &pacers.pacer[at]):
            gone += 1
        if pacers.pacer[at].waiting > 0:
            pacers_enter(pacers, at)
    return gone


# Who waits there for longest goes on, or is given up; False: it is to wait, or there is none.
cdef bint head_goes(Proxy *proxy, Pacer *pacer) noexcept nogil:
    cdef HalfOpen *record
    cdef Connection *conn
    cdef const Service *service
    if pacer.waiting == 0 or outbox_peek(proxy) == NULL:
        return False
    record = &proxy.half_open.records[pacer.first]
    conn = conntable_entry(proxy.table, record.connection)
    service = snapshot_match(proxy.snapshot, conn.flow.server_address, conn.flow.server_port)
    if service == NULL or service.pacing_rate == 0 or is_turn(pacer, service, proxy.now_ns):
        half_open_turn(proxy.half_open, record)
        record.syns_sent = 1
        server_syn_push(proxy, record, conn, SERVER_SYN_SENT)
        return True
    if <uint32_t>proxy.now_ms - record.waits_since_ms > service.pacing_wait_ms:
        handshake_give_up(proxy, record, PACING_TIMEOUT)
        return True
    return False
