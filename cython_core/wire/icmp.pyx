"""ICMP errors: the way to the quoted segment, and back with another sequence number.

Reading list: as in the contract; RFC 5927 for why the quoted sequence number matters to
the receiver.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from cython_core.wire.byteorder cimport load16, load32, store16, store32
from cython_core.wire.checksum cimport checksum_apply, checksum_delta16, checksum_delta32
from cython_core.wire.ip cimport IpHeader, ip_is_mapped, ip_load_addresses, ip_parse
from cython_core.wire.segment cimport KIND_ICMP_ERROR, PROTOCOL_TCP

cdef enum:
    ICMP_BYTES = 8                  # of an error, before its quote; ICMPv6 has the same
    ICMP_CHECKSUM_AT = 2
    ICMP_UNREACHABLE = 3            # RFC 792
    ICMP_FRAGMENTATION_NEEDED = 4   # its code
    ICMP_MTU_AT = 6                 # RFC 1191 §4: 16 bits
    ICMP_TIME_EXCEEDED = 11
    ICMP_PARAMETER_PROBLEM = 12
    ICMPV6_UNREACHABLE = 1          # RFC 4443 §3.1-3.4
    ICMPV6_TOO_BIG = 2
    ICMPV6_MTU_AT = 4               # RFC 4443 §3.2: 32 bits
    ICMPV6_TIME_EXCEEDED = 3
    ICMPV6_PARAMETER_PROBLEM = 4
    ORIGINAL_BYTES_MIN = 128        # RFC 4884 §4: of a quote that has extensions behind it
    TCP_SEQ_AT = 4
    TCP_CHECKSUM_AT = 16
    QUOTED_TCP_BYTES_MIN = 8        # ports and sequence number: RFC 792's 64 bits


cdef inline bint icmp_is_error(uint8_t family, uint8_t type_) noexcept nogil:
    if family == 4:
        return (type_ == ICMP_UNREACHABLE or type_ == ICMP_TIME_EXCEEDED
                or type_ == ICMP_PARAMETER_PROBLEM)
    return ICMPV6_UNREACHABLE <= type_ <= ICMPV6_PARAMETER_PROBLEM


# How many bytes of the message are quote and not extensions: RFC 4884 §4.  A length below
# the least that is allowed is taken for what old senders left in an unused field.
cdef inline uint32_t icmp_quote_bytes(const Segment *segment) noexcept nogil:
    cdef const uint8_t *icmp = segment.frame + segment.l4
    cdef uint32_t present = segment.l4_bytes - ICMP_BYTES
    cdef uint32_t said = 0
    if segment.family == 4:
        said = 4 * icmp[5]
    elif icmp[0] == ICMPV6_UNREACHABLE or icmp[0] == ICMPV6_TIME_EXCEEDED:
        said = 8 * icmp[4]
    return said if ORIGINAL_BYTES_MIN <= said < present else present


cdef bint icmp_parse_quote(const Segment *segment, Quote *quote) noexcept nogil:
    cdef const uint8_t *frame = segment.frame
    cdef uint32_t l3 = segment.l4 + ICMP_BYTES
    cdef IpHeader ip
    if segment.kind != KIND_ICMP_ERROR or segment.l4_bytes < ICMP_BYTES:
        return False
    if not icmp_is_error(segment.family, frame[segment.l4]):
        return False
    if not ip_parse(frame, l3, l3 + icmp_quote_bytes(segment), True, &ip):
        return False
    if ip.family != segment.family or ip.protocol != PROTOCOL_TCP or ip.fragment_offset != 0:
        return False
    if ip.end - ip.l4 < QUOTED_TCP_BYTES_MIN:
        return False
    quote.family = ip.family
    quote.l3 = <uint16_t>l3
    quote.l4 = <uint16_t>ip.l4
    quote.l4_bytes = <uint16_t>(ip.end - ip.l4)
    quote.sport = load16(frame + ip.l4)
    quote.dport = load16(frame + ip.l4 + 2)
    quote.seq = load32(frame + ip.l4 + TCP_SEQ_AT)
    ip_load_addresses(ip.family, frame + l3, quote.source, quote.destination)
    # An IPv6 quote under IPv4-mapped addresses would name an IPv4 flow.
    return ip.family == 4 or not (ip_is_mapped(quote.source) or ip_is_mapped(quote.destination))


cdef bint icmp_is_hard(const Segment *segment) noexcept nogil:
    cdef uint8_t type_ = segment.frame[segment.l4]
    cdef uint8_t code = segment.frame[segment.l4 + 1]
    if segment.family == 4:
        return type_ == ICMP_UNREACHABLE and code in (2, 3, 9, 10, 13)
    return type_ == ICMPV6_UNREACHABLE and code in (1, 4, 5, 6)


cdef uint32_t icmp_mtu(const Segment *segment) noexcept nogil:
    cdef const uint8_t *icmp = segment.frame + segment.l4
    if segment.family == 6:
        return load32(icmp + ICMPV6_MTU_AT) if icmp[0] == ICMPV6_TOO_BIG else 0
    if icmp[0] == ICMP_UNREACHABLE and icmp[1] == ICMP_FRAGMENTATION_NEEDED:
        return load16(icmp + ICMP_MTU_AT)
    return 0


cdef void icmp_rewrite_mtu(const Segment *segment, uint32_t mtu) noexcept nogil:
    cdef uint8_t *icmp = segment.frame + segment.l4
    cdef uint32_t before = icmp_mtu(segment)
    if segment.family == 6:
        store32(icmp + ICMPV6_MTU_AT, mtu)
    else:
        store16(icmp + ICMP_MTU_AT, <uint16_t>mtu)
    checksum_apply(icmp + ICMP_CHECKSUM_AT, checksum_delta32(before, mtu, False))


cdef void icmp_rewrite_seq(const Segment *segment, const Quote *quote, uint32_t seq) noexcept nogil:
    cdef uint8_t *tcp = segment.frame + quote.l4
    cdef uint64_t delta = checksum_delta32(quote.seq, seq, False)
    cdef uint16_t before
    store32(tcp + TCP_SEQ_AT, seq)
    if quote.l4_bytes >= TCP_CHECKSUM_AT + 2:
        # The quoted checksum is itself under the ICMP checksum.
        before = load16(tcp + TCP_CHECKSUM_AT)
        checksum_apply(tcp + TCP_CHECKSUM_AT, delta)
        delta += checksum_delta16(before, load16(tcp + TCP_CHECKSUM_AT))
    checksum_apply(segment.frame + segment.l4 + ICMP_CHECKSUM_AT, delta)
