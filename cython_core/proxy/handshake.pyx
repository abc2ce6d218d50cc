from libc.stdint cimport uint64_t
from libc.string cimport memcpy, memset

from cython_core.wire.byteorder cimport htobe32, store32
from cython_core.wire.checksum cimport checksum_addresses, checksum_store, checksum_store32
from cython_core.wire.options cimport WSCALE_ABSENT, options_write
from cython_core.wire.segment cimport (
    FRAME_BYTES_MIN, IPV4_BYTES, IPV6_BYTES, PROTOCOL_TCP, TCP_BYTES, TCP_RST,
)

cdef enum:
    IPV4_DONT_FRAGMENT = 0x4000     # RFC 791 §3.1, flags and fragment offset

cdef extern from *:
    """
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
                   "envelope_reverse names bytes from a word's low end");
    """


cdef uint16_t compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                      bint to_server, const Tcp *tcp) noexcept nogil:
    cdef uint8_t *ip = frame + envelope.l2_bytes
    cdef uint8_t *l4 = ip + (IPV4_BYTES if envelope.family == 4 else IPV6_BYTES)
    cdef uint32_t tcp_bytes, total
    memcpy(frame, envelope.l2, 8)
    memcpy(frame + 8, envelope.l2 + 1, 8)
    memcpy(frame + 16, envelope.l2 + 2, 8)      # IP overwrites what is not layer 2's
    tcp_bytes = compose_tcp(l4, flow, to_server, tcp)
    if envelope.family == 4:
        compose_ipv4(ip, envelope, flow, to_server, tcp_bytes)
    else:
        compose_ipv6(ip, envelope, flow, to_server, tcp_bytes)
    total = <uint32_t>(l4 - frame) + tcp_bytes
    if total < FRAME_BYTES_MIN:
        memset(frame + total, 0, FRAME_BYTES_MIN - total)
        total = FRAME_BYTES_MIN
    return <uint16_t>total


cdef uint16_t rst_compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                          bint to_server, uint32_t seq) noexcept nogil:
    cdef Tcp tcp
    memset(&tcp, 0, sizeof(tcp))
    tcp.options.wscale = WSCALE_ABSENT
    tcp.seq = seq
    tcp.flags = TCP_RST
    return compose(frame, envelope, flow, to_server, &tcp)


cdef inline uint32_t ports_of(const Flow *flow, bint to_server) noexcept nogil:
    if to_server:
        return <uint32_t>flow.client_port << 16 | flow.server_port
    return <uint32_t>flow.server_port << 16 | flow.client_port


cdef inline const uint8_t *source_of(const Flow *flow, bint to_server) noexcept nogil:
    if to_server:
        return flow.client_address
    return flow.server_address


# The whole TCP header.  Returns its length.
cdef inline uint32_t compose_tcp(uint8_t *l4, const Flow *flow, bint to_server,
                                 const Tcp *tcp) noexcept nogil:
    cdef uint64_t sum = checksum_addresses(flow.client_address, flow.server_address)
    cdef uint32_t tcp_bytes = TCP_BYTES + options_write(l4 + TCP_BYTES, &tcp.options, &sum)
    sum += htobe32(tcp_bytes)
    sum += htobe32(PROTOCOL_TCP)
    sum += checksum_store32(l4, ports_of(flow, to_server))
    sum += checksum_store32(l4 + 4, tcp.seq)
    sum += checksum_store32(l4 + 8, tcp.ack)
    sum += checksum_store32(l4 + 12, tcp_bytes // 4 << 28 | <uint32_t>tcp.flags << 16
                            | tcp.window)
    store32(l4 + 16, 0)         # checksum and urgent pointer
    checksum_store(l4 + 16, sum)
    return tcp_bytes


cdef inline void compose_ipv4(uint8_t *ip, const Envelope *envelope, const Flow *flow,
                              bint to_server, uint32_t tcp_bytes) noexcept nogil:
    cdef uint32_t source, destination
    cdef uint64_t sum
    memcpy(&source, source_of(flow, to_server) + 12, 4)
    memcpy(&destination, source_of(flow, not to_server) + 12, 4)
    sum = <uint64_t>source + destination
    sum += checksum_store32(ip, 0x45u << 24 | <uint32_t>envelope.traffic_class << 16
                            | (IPV4_BYTES + tcp_bytes))
    sum += checksum_store32(ip + 4, IPV4_DONT_FRAGMENT)
    sum += checksum_store32(ip + 8, <uint32_t>envelope.hop_limit << 24 | PROTOCOL_TCP << 16)
    checksum_store(ip + 10, sum)
    memcpy(ip + 12, &source, 4)
    memcpy(ip + 16, &destination, 4)


cdef inline void compose_ipv6(uint8_t *ip, const Envelope *envelope, const Flow *flow,
                              bint to_server, uint32_t tcp_bytes) noexcept nogil:
    store32(ip, 6u << 28 | <uint32_t>envelope.traffic_class << 20 | envelope.flow_label)
    store32(ip + 4, tcp_bytes << 16 | PROTOCOL_TCP << 8 | envelope.hop_limit)
    memcpy(ip + 8, source_of(flow, to_server), 16)
    memcpy(ip + 24, source_of(flow, not to_server), 16)
