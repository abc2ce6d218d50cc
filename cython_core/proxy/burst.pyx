from cython_core.proxy.activation cimport activation_syn, activation_takes_cookies
from cython_core.proxy.answering cimport server_unreachable
from cython_core.proxy.conntable cimport (
    CONN_SUPPLIED, STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT, Connection, conntable_candidate,
    conntable_prefetch, conntable_settle, conntable_words,
)
from cython_core.proxy.cookie cimport (
    Cookie, cookie_bits, cookie_key_of, cookie_named, cookie_offer, cookie_words,
)
from cython_core.proxy.counters cimport (
    BRIDGED, CONSUMED, DROP_FIRST, FRAGMENT, FRAME_TRUNCATED, MARTIAN, RECEIVED, TCP_CHECKSUM,
    TRANSLATED, count,
)
from cython_core.proxy.events cimport event_note_segment
from cython_core.proxy.from_client cimport client_segment
from cython_core.proxy.learned cimport learned_read
from cython_core.proxy.opening cimport client_syn
from cython_core.proxy.proof cimport PROOF_OPEN, cookie_of_ack, proof_judge
from cython_core.proxy.from_server cimport server_segment
from cython_core.proxy.pulse cimport Pulse
from cython_core.proxy.routes cimport Routes, routes_are_few, routes_first, routes_prefetch
from cython_core.proxy.service cimport (
    snapshot_covers, snapshot_match, snapshot_match_from, snapshot_row,
)
from cython_core.proxy.supply cimport supply_too_big
from cython_core.proxy.synproxy cimport (
    VERDICT_BRIDGE, VERDICT_NONE, VERDICT_TRANSLATE, pulse_of,
)
from cython_core.wire.cache cimport __builtin_prefetch
from cython_core.wire.icmp cimport icmp_is_hard, icmp_parse_quote, icmp_rewrite_seq
from cython_core.wire.seq cimport seq_within
from cython_core.wire.segment cimport (
    FAULT_EXTENSION_MALFORMED, KIND_FRAGMENT, KIND_ICMP_ERROR, KIND_MALFORMED, KIND_TCP, TCP_ACK,
    TCP_FIN, TCP_RST, TCP_SYN, segment_flow, segment_is_plain_ack, segment_parse,
)
from cython_core.wire.siphash cimport SipKey

cdef enum:
    GROUP_ADDRESS = 0x01        # in a MAC address's first byte: IEEE 802-2014 §8.2.2


cdef void burst_run(Burst *burst, Proxy *proxy) noexcept nogil:
    burst_parse(burst, proxy)
    burst_admit(burst, proxy)
    burst_verify(burst, proxy)
    burst_hash(burst, proxy)
    burst_match(burst, proxy)
    burst_prove(burst, proxy)
    burst_decide(burst, proxy)


# Where each frame's service is looked for is known by then; among many it begins to load.
cdef void burst_parse(Burst *burst, const Proxy *proxy) noexcept nogil:
    cdef const Routes *routes = proxy.snapshot.live
    cdef bint many = not routes_are_few(routes)
    cdef Segment *segment
    cdef uint32_t i
    for i in range(burst.count):
        segment = &burst.segment[i]
        segment_parse(segment)
        burst.route[i] = routes_first(routes, server_of(burst, segment))
        if many:
            routes_prefetch(routes, burst.route[i])


cdef inline const uint8_t *server_of(const Burst *burst, const Segment *segment) noexcept nogil:
    if burst.from_client:
        return segment.destination
    return segment.source


cdef void burst_admit(Burst *burst, Proxy *proxy) noexcept nogil:
    cdef bint many = not routes_are_few(proxy.snapshot.live)
    cdef uint64_t unverified = 0
    cdef uint32_t i
    burst.lanes = 0
    burst.others = 0
    for i in range(burst.count):
        burst.lane[burst.lanes].at = i
        burst.lane[burst.lanes].service = NULL
        burst.verdict[i] = admit(burst, proxy, i, &burst.lane[burst.lanes])
        if many and burst.lane[burst.lanes].service != NULL:
            service_prefetch(proxy, burst.lane[burst.lanes].service)
        if burst.verdict[i] == VERDICT_NONE:
            burst.lanes += 1
            unverified |= <uint64_t>(burst.segment[i].kind == KIND_TCP) << i
        else:
            burst.others |= <uint64_t>(burst.lane[burst.lanes].service == NULL) << i
            count_fate(burst, proxy, i, 0 if burst.lane[burst.lanes].service == NULL
                       else burst.lane[burst.lanes].service.row)
    burst.unverified = unverified


# Its options, and the foremost line of its row.  The number of the row is worked out: where it
# stands is not loaded yet.
cdef inline void service_prefetch(const Proxy *proxy, const Service *service) noexcept nogil:
    __builtin_prefetch(service)
    __builtin_prefetch(proxy.rows[snapshot_row(proxy.snapshot, service)].counters)


# A verdict, or VERDICT_NONE: the lane is filled but for its hash input.
cdef inline uint8_t admit(Burst *burst, const Proxy *proxy, uint32_t at,
                          Lane *lane) noexcept nogil:
    cdef Segment *segment = &burst.segment[at]
    if segment.kind == KIND_TCP:
        return admit_tcp(burst, proxy, at, lane)
    if segment.kind == KIND_MALFORMED:
        if segment.fault == FAULT_EXTENSION_MALFORMED and not is_covered(burst, proxy, segment):
            return VERDICT_BRIDGE
        return drop_of_fault(segment)
    if segment.kind == KIND_FRAGMENT:
        return <uint8_t>FRAGMENT if is_covered(burst, proxy, segment) else <uint8_t>VERDICT_BRIDGE
    if segment.kind == KIND_ICMP_ERROR:
        return admit_icmp(burst, proxy, segment, lane)
    return VERDICT_BRIDGE


# The drop reason of segment.fault: both enumerations stand in the same order.
cdef inline uint8_t drop_of_fault(const Segment *segment) noexcept nogil:
    return <uint8_t>(FRAME_TRUNCATED + segment.fault - 1)


cdef inline bint is_covered(const Burst *burst, const Proxy *proxy,
                            const Segment *segment) noexcept nogil:
    return snapshot_covers(proxy.snapshot, server_of(burst, segment))


cdef inline uint8_t admit_tcp(Burst *burst, const Proxy *proxy, uint32_t at,
                              Lane *lane) noexcept nogil:
    cdef Segment *segment = &burst.segment[at]
    if segment.fault:
        # Its ports may be the fault, so its address alone says whether it is ours to judge.
        return drop_of_fault(segment) if is_covered(burst, proxy, segment) else VERDICT_BRIDGE
    lane.service = snapshot_match_from(
        proxy.snapshot, server_of(burst, segment),
        segment.dport if burst.from_client else segment.sport, burst.route[at])
    if lane.service == NULL:
        return VERDICT_BRIDGE
    if segment.frame[0] & GROUP_ADDRESS:
        return MARTIAN              # an answer would have a group as its source
    segment_flow(segment, burst.from_client, &lane.flow)
    return VERDICT_NONE


# An error that a client's side sends about a server's segment quotes it as we had sent it.  One
# from a server's side quotes the client's own numbers; it matters where it is about our SYN.
cdef uint8_t admit_icmp(const Burst *burst, const Proxy *proxy, const Segment *segment,
                        Lane *lane) noexcept nogil:
    cdef Segment quoted
    if not burst.from_client and not icmp_is_hard(segment):
        return VERDICT_BRIDGE
    if not icmp_parse_quote(segment, &lane.quote):
        return VERDICT_BRIDGE
    if burst.from_client:
        lane.service = snapshot_match(proxy.snapshot, lane.quote.source, lane.quote.sport)
    else:
        lane.service = snapshot_match(proxy.snapshot, lane.quote.destination, lane.quote.dport)
    if lane.service == NULL:
        return VERDICT_BRIDGE
    if segment.fault:
        return drop_of_fault(segment)
    quoted.source = lane.quote.source
    quoted.destination = lane.quote.destination
    quoted.sport = lane.quote.sport
    quoted.dport = lane.quote.dport
    segment_flow(&quoted, not burst.from_client, &lane.flow)
    return VERDICT_NONE


cdef void burst_verify(Burst *burst, Proxy *proxy) noexcept nogil:
    cdef uint64_t wrong = proxy.vector.verify(burst.segment, burst.unverified)
    if wrong:
        lanes_drop(burst, proxy, wrong)


cdef void lanes_drop(Burst *burst, Proxy *proxy, uint64_t wrong) noexcept nogil:
    cdef uint32_t i, at
    for i in range(burst.lanes):
        at = burst.lane[i].at
        if wrong >> at & 1:
            frame_drop(burst, proxy, at, burst.lane[i].service.row, TCP_CHECKSUM)
    lanes_take_out(burst, wrong)


cdef void frame_drop(Burst *burst, Proxy *proxy, uint32_t at, uint32_t row,
                     uint8_t reason) noexcept nogil:
    burst.verdict[at] = reason
    count_fate(burst, proxy, at, row)


cdef void lanes_take_out(Burst *burst, uint64_t frames) noexcept nogil:
    cdef uint32_t kept = 0
    cdef uint32_t i
    for i in range(burst.lanes):
        if frames >> burst.lane[i].at & 1:
            continue
        if kept != i:
            burst.lane[kept] = burst.lane[i]
            burst.digest[kept] = burst.digest[i]
        kept += 1
    burst.lanes = kept


cdef void burst_hash(Burst *burst, Proxy *proxy) noexcept nogil:
    cdef const SipKey *cookie_key = &proxy.keys.epoch[proxy.keys.number & 1]
    cdef const SipKey *key
    cdef const Segment *segment
    cdef Lane *lane
    cdef uint64_t learned
    cdef uint32_t i
    for i in range(burst.lanes):
        lane = &burst.lane[i]
        segment = &burst.segment[lane.at]
        lane.syn = (burst.from_client and is_syn(segment)
                    and meets_cookie(burst, proxy, lane.service))
        if lane.syn:
            learned = learned_read(proxy.learned, segment.destination, segment.dport)
            cookie_offer(&lane.offer, segment, lane.service, learned, &proxy.keys)
            lane.bits = cookie_bits(&lane.offer, segment.family, proxy.keys.number)
            cookie_words(&burst.words[i], BURST_FRAMES, &lane.flow, lane.service.tag, lane.bits)
            key = cookie_key
        else:
            conntable_words(&burst.words[i], BURST_FRAMES, &lane.flow)
            key = &proxy.table_key
        burst.key0[i] = key.k0
        burst.key1[i] = key.k1
    proxy.vector.hash_lanes(burst.words, burst.key0, burst.key1, burst.digest, burst.lanes)


# Only SYN alone is a SYN.
cdef inline bint is_syn(const Segment *segment) noexcept nogil:
    return (segment.kind == KIND_TCP
            and segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK) == TCP_SYN)


# What is handed over here has been noted where it came in.
cdef inline bint meets_cookie(const Burst *burst, Proxy *proxy,
                              const Service *service) noexcept nogil:
    cdef Pulse *pulse = pulse_of(proxy, service)
    if burst.handed:
        return pulse.guarded and not service.refusing
    return activation_syn(pulse, service, proxy.rows, proxy.now_ms)


cdef void burst_match(Burst *burst, const Proxy *proxy) noexcept nogil:
    cdef uint32_t others = 0            # than SYNs
    cdef uint32_t i
    for i in range(burst.lanes):
        if not burst.lane[i].syn:
            conntable_prefetch(proxy.table, burst.digest[i])
            others += 1
    if others == 0:
        return
    burst.inserted = proxy.table.inserted
    for i in range(burst.lanes):
        if not burst.lane[i].syn:
            burst.lane[i].candidate = conntable_candidate(proxy.table, burst.digest[i])
            __builtin_prefetch(burst.lane[i].candidate)


# What an ACK proves (proxy/proof).
cdef void burst_prove(Burst *burst, const Proxy *proxy) noexcept nogil:
    cdef uint32_t asked = 0
    cdef uint32_t i, n
    if not burst.from_client:
        return
    for i in range(burst.lanes):
        burst.lane[i].proof.state = PROOF_OPEN
        if is_to_prove(proxy, &burst.segment[burst.lane[i].at], &burst.lane[i]):
            burst.asked[asked] = i
            asked += 1
    if asked == 0:
        return
    for n in range(asked):
        lane_ask(burst, proxy, &burst.lane[burst.asked[n]], n)
    proxy.vector.hash_lanes(burst.words, burst.key0, burst.key1, burst.asked_digest, asked)
    for n in range(asked):
        lane_judge(burst, &burst.lane[burst.asked[n]], burst.asked_digest[n])


# A guess, for an earlier frame of the burst may yet change the table: what nobody has asked is
# asked where it must be known.
cdef inline bint is_to_prove(const Proxy *proxy, const Segment *segment,
                             const Lane *lane) noexcept nogil:
    cdef const Pulse *pulse
    if lane.syn or segment.kind != KIND_TCP or segment.flags & (TCP_SYN | TCP_ACK) != TCP_ACK:
        return False
    if lane.candidate != NULL:
        return lane.candidate.state >= STATE_TIME_WAIT and segment_is_plain_ack(segment)
    pulse = pulse_of(proxy, lane.service)
    __builtin_prefetch(pulse)           # for proxy/unknown, if it proves nothing
    return activation_takes_cookies(pulse, lane.service, proxy.answered_ms, proxy.now_ms)


cdef inline void lane_ask(Burst *burst, const Proxy *proxy, Lane *lane,
                          uint32_t n) noexcept nogil:
    cdef const Segment *segment = &burst.segment[lane.at]
    cdef const SipKey *key
    cdef Cookie cookie
    cookie_of_ack(&cookie, segment)
    lane.bits = cookie_named(&cookie, segment.options.timestamps, lane.service, &proxy.keys)
    cookie_words(&burst.words[n], BURST_FRAMES, &lane.flow, lane.service.tag, lane.bits)
    key = cookie_key_of(&proxy.keys, lane.bits)
    burst.key0[n] = key.k0
    burst.key1[n] = key.k1


cdef inline void lane_judge(const Burst *burst, Lane *lane, uint64_t digest) noexcept nogil:
    proof_judge(&lane.proof, &burst.segment[lane.at], digest, lane.bits)


cdef void burst_decide(Burst *burst, Proxy *proxy) noexcept nogil:
    cdef uint8_t verdict
    cdef Lane *lane
    cdef uint32_t i
    for i in range(burst.lanes):
        lane = &burst.lane[i]
        verdict = decide(burst, proxy, lane, burst.digest[i])
        burst.verdict[lane.at] = verdict
        count_fate(burst, proxy, lane.at, lane.service.row)


# An earlier frame of the burst may have changed the table since `match`.
cdef inline uint8_t decide(Burst *burst, Proxy *proxy, Lane *lane, uint64_t digest) noexcept nogil:
    cdef Segment *segment = &burst.segment[lane.at]
    cdef Connection *conn
    if lane.syn:
        return client_syn(proxy, segment, &lane.flow, lane.service, &lane.offer, lane.bits,
                          digest)
    conn = conntable_settle(proxy.table, digest, &lane.flow, lane.candidate, burst.inserted)
    if segment.kind == KIND_ICMP_ERROR:
        return decide_icmp(burst, proxy, lane, conn)
    if burst.from_client:
        return client_segment(proxy, segment, &lane.flow, lane.service, digest, conn,
                              &lane.proof)
    return server_segment(proxy, segment, &lane.flow, lane.service, digest, conn)


cdef uint8_t decide_icmp(Burst *burst, Proxy *proxy, Lane *lane, Connection *conn) noexcept nogil:
    cdef Segment *segment = &burst.segment[lane.at]
    cdef uint32_t window
    if not burst.from_client:
        return server_unreachable(proxy, segment, lane.quote.seq, lane.service, conn)
    if conn == NULL or conn.state == STATE_SYN_SENT or conn.state == STATE_REFUSED:
        return VERDICT_BRIDGE
    icmp_rewrite_seq(segment, &lane.quote, lane.quote.seq - conn.seq_offset)
    window = 1u << conn.client_window_log2
    # RFC 5927 §4.1: only about what may be under way; the server judges for itself.
    if conn.flags & CONN_SUPPLIED and seq_within(
            lane.quote.seq - conn.seq_offset, conn.client_ack - window, conn.client_ack + window):
        supply_too_big(proxy.supplies, segment, conn)
    return VERDICT_TRANSLATE


cdef inline void count_fate(const Burst *burst, Proxy *proxy, uint32_t at,
                            uint32_t row) noexcept nogil:
    cdef uint8_t verdict = burst.verdict[at]
    count(proxy.rows, row, RECEIVED)
    if verdict >= DROP_FIRST:
        count(proxy.rows, row, verdict)
        event_note_segment(proxy.events, proxy.now_ns, verdict, row, &burst.segment[at],
                           burst.from_client)
    elif verdict == VERDICT_BRIDGE:
        count(proxy.rows, row, BRIDGED)
    elif verdict == VERDICT_TRANSLATE:
        count(proxy.rows, row, TRANSLATED)
    else:
        count(proxy.rows, row, CONSUMED)
