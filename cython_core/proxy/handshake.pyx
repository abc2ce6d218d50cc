from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from cython_core.wire.byteorder cimport load16, load32, store16, store32
from cython_core.wire.checksum cimport checksum_add, checksum_fold, checksum_pseudo
from cython_core.wire.options cimport options_write
from cython_core.wire.segment cimport (
    FRAME_BYTES_MIN, IPV4_BYTES, IPV6_BYTES, PROTOCOL_TCP, TCP_BYTES,
)

cdef enum:
    IPV4_DONT_FRAGMENT = 0x4000     # RFC 791 §3.1, flags and fragment offset


cdef void envelope_take(Envelope *envelope, const Segment *segment) noexcept nogil:
    cdef const uint8_t *ip = segment.frame + segment.l3
    envelope.l2_bytes = <uint8_t>segment.l3
    memcpy(envelope.l2, segment.frame, segment.l3)
    envelope.family = segment.family
    if segment.family == 4:
        envelope.traffic_class = ip[1] & 0xFC
        envelope.hop_limit = ip[8]
        envelope.flow_label = 0
    else:
        envelope.traffic_class = (load16(ip) >> 4) & 0xFC
        envelope.hop_limit = ip[7]
        envelope.flow_label = load32(ip) & 0xFFFFF


cdef void envelope_reverse(Envelope *envelope) noexcept nogil:
    cdef uint8_t[6] destination
    memcpy(destination, envelope.l2, 6)
    memcpy(envelope.l2, envelope.l2 + 6, 6)
    memcpy(envelope.l2 + 6, destination, 6)
    envelope.hop_limit = HOP_LIMIT_OURS


cdef uint16_t compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                      bint to_server, const Tcp *tcp) noexcept nogil:
    cdef uint8_t *ip = frame + envelope.l2_bytes
    cdef uint8_t *l4 = ip + (IPV4_BYTES if envelope.family == 4 else IPV6_BYTES)
    cdef uint32_t tcp_bytes, total
    cdef uint64_t sum
    memcpy(frame, envelope.l2, envelope.l2_bytes)
    store16(l4, flow.client_port if to_server else flow.server_port)
    store16(l4 + 2, flow.server_port if to_server else flow.client_port)
    tcp_bytes = compose_tcp(l4, tcp)
    if envelope.family == 4:
        compose_ipv4(ip, envelope, flow, to_server, tcp_bytes)
        sum = checksum_pseudo(ip + 12, 8, tcp_bytes, PROTOCOL_TCP)
    else:
        compose_ipv6(ip, envelope, flow, to_server, tcp_bytes)
        sum = checksum_pseudo(ip + 8, 32, tcp_bytes, PROTOCOL_TCP)
    store_sum(l4 + 16, checksum_add(l4, tcp_bytes, sum))
    total = <uint32_t>(l4 - frame) + tcp_bytes
    if total < FRAME_BYTES_MIN:
        memset(frame + total, 0, FRAME_BYTES_MIN - total)
        total = FRAME_BYTES_MIN
    return <uint16_t>total


cdef inline const uint8_t *source_of(const Flow *flow, bint to_server) noexcept nogil:
    if to_server:
        return flow.client_address
    return flow.server_address


# Everything of the TCP header but ports and checksum, which is left 0.  Returns its length.
cdef inline uint32_t compose_tcp(uint8_t *l4, const Tcp *tcp) noexcept nogil:
    cdef uint32_t tcp_bytes = TCP_BYTES + options_write(l4 + TCP_BYTES, &tcp.options)
    store32(l4 + 4, tcp.seq)
    store32(l4 + 8, tcp.ack)
    l4[12] = <uint8_t>(tcp_bytes // 4 << 4)
    l4[13] = tcp.flags
    store16(l4 + 14, tcp.window)
    store32(l4 + 16, 0)
    return tcp_bytes


cdef inline void compose_ipv4(uint8_t *ip, const Envelope *envelope, const Flow *flow,
                              bint to_server, uint32_t tcp_bytes) noexcept nogil:
    ip[0] = 0x45
    ip[1] = envelope.traffic_class
    store16(ip + 2, <uint16_t>(IPV4_BYTES + tcp_bytes))
    store16(ip + 4, 0)
    store16(ip + 6, IPV4_DONT_FRAGMENT)
    ip[8] = envelope.hop_limit
    ip[9] = PROTOCOL_TCP
    store16(ip + 10, 0)
    memcpy(ip + 12, source_of(flow, to_server) + 12, 4)
    memcpy(ip + 16, source_of(flow, not to_server) + 12, 4)
    store_sum(ip + 10, checksum_add(ip, IPV4_BYTES, 0))


cdef inline void compose_ipv6(uint8_t *ip, const Envelope *envelope, const Flow *flow,
                              bint to_server, uint32_t tcp_bytes) noexcept nogil:
    store32(ip, 6u << 28 | <uint32_t>envelope.traffic_class << 20 | envelope.flow_label)
    store16(ip + 4, <uint16_t>tcp_bytes)
    ip[6] = PROTOCOL_TCP
    ip[7] = envelope.hop_limit
    memcpy(ip + 8, source_of(flow, to_server), 16)
    memcpy(ip + 24, source_of(flow, not to_server), 16)


# Sums are kept as the bytes lie (wire/checksum), so the field takes them as they are.
cdef inline void store_sum(uint8_t *field, uint64_t sum) noexcept nogil:
    cdef uint16_t folded = <uint16_t>~checksum_fold(sum)
    memcpy(field, &folded, 2)
