"""A frame, read layer by layer: Ethernet and its tags, IP (wire/ip), TCP or an ICMP error.

The first fault stands, for it is nearest to the frame's first byte.  Whatever the fault, no
field names a byte outside the frame; with a fault, fields past the ports need not be set.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from cython_core.wire.byteorder cimport htobe32, load16, load32, load64_raw
from cython_core.wire.checksum cimport (
    checksum_add, checksum_add_20, checksum_add_short, checksum_addresses, checksum_fold,
)
from cython_core.wire.icmp cimport Quote, icmp_parse_quote
from cython_core.wire.ip cimport IpHeader, ip_is_martian, ip_load_addresses, ip_parse
from cython_core.wire.options cimport options_parse
from cython_core.wire.widths cimport WIDTHS_MAX

cdef extern from *:
    """
    struct SynproxySegment;
    WIDTH_V3 static uint64_t synproxy_verify_v3(struct SynproxySegment *, uint64_t);
    WIDTH_V4 static uint64_t synproxy_verify_v4(struct SynproxySegment *, uint64_t);
    """
    int __builtin_ctzll(uint64_t bits) noexcept nogil

cdef enum:
    ETHERTYPE_AT = 12           # behind two MAC addresses
    VLAN_TAG_BYTES = 4
    PORTS_BYTES = 4


cdef inline void segment_blame(Segment *segment, uint8_t fault) noexcept nogil:
    if segment.fault == FAULT_NONE:
        segment.fault = fault


# Field by field, since gcc makes a slow `rep stos` of one memset over the whole.
cdef inline void segment_clear(Segment *segment) noexcept nogil:
    segment.kind = KIND_OTHER
    segment.fault = FAULT_NONE
    segment.family = 0
    segment.flags = 0
    segment.l3 = 0
    segment.l4 = 0
    segment.payload = 0
    segment.payload_bytes = 0
    segment.l4_bytes = 0
    segment.sport = 0
    segment.dport = 0
    segment.window = 0
    segment.seq = 0
    segment.ack = 0
    memset(&segment.options, 0, sizeof(segment.options))
    memset(segment.source, 0, sizeof(segment.source))
    memset(segment.destination, 0, sizeof(segment.destination))


# Sets l3 behind the tags; returns the EtherType there, or 0 where the frame ends before it.
cdef inline uint16_t segment_parse_ethernet(Segment *segment) noexcept nogil:
    cdef uint32_t at = ETHERTYPE_AT
    cdef uint32_t _tag
    cdef uint16_t ethertype
    if segment.frame_bytes < ETHERNET_BYTES:
        return 0
    ethertype = load16(segment.frame + at)
    for _tag in range(VLAN_TAGS_MAX):
        if ethertype != ETHERTYPE_VLAN and ethertype != ETHERTYPE_QINQ:
            break
        at += VLAN_TAG_BYTES
        if segment.frame_bytes < at + 2:
            return 0
        ethertype = load16(segment.frame + at)
    segment.l3 = <uint16_t>(at + 2)
    return ethertype


cdef inline bint segment_is_land(const Segment *segment) noexcept nogil:
    return (load64_raw(segment.source) == load64_raw(segment.destination)
            and load64_raw(segment.source + 8) == load64_raw(segment.destination + 8))


cdef inline void segment_judge_addresses(Segment *segment) noexcept nogil:
    if ip_is_martian(segment.family, segment.source, segment.destination):
        segment_blame(segment, FAULT_MARTIAN)
    if segment_is_land(segment):
        segment_blame(segment, FAULT_LAND)


cdef void segment_parse_tcp(Segment *segment) noexcept nogil:
    cdef const uint8_t *tcp = segment.frame + segment.l4
    cdef uint32_t header_bytes
    segment.kind = KIND_TCP
    if segment.l4_bytes >= PORTS_BYTES:
        segment.sport = load16(tcp)
        segment.dport = load16(tcp + 2)
    if segment.l4_bytes < TCP_BYTES:
        segment_blame(segment, FAULT_TCP_TRUNCATED)
        return
    segment.seq = load32(tcp + 4)
    segment.ack = load32(tcp + 8)
    segment.flags = tcp[13]
    segment.window = load16(tcp + 14)
    header_bytes = 4 * (tcp[12] >> 4)
    if header_bytes < TCP_BYTES or header_bytes > segment.l4_bytes:
        segment_blame(segment, FAULT_TCP_MALFORMED)
        return
    segment.payload = <uint16_t>(segment.l4 + header_bytes)
    segment.payload_bytes = <uint16_t>(segment.l4_bytes - header_bytes)
    if segment.sport == 0 or segment.dport == 0:
        segment_blame(segment, FAULT_PORT_ZERO)
    if not options_parse(tcp + TCP_BYTES, header_bytes - TCP_BYTES, &segment.options):
        segment_blame(segment, FAULT_TCP_OPTIONS)


# The ICMP errors that belong to a TCP flow; other ICMP, and pieces of it, are nobody's here.
cdef void segment_parse_icmp(Segment *segment) noexcept nogil:
    cdef Quote quote
    segment.kind = KIND_ICMP_ERROR
    if icmp_parse_quote(segment, &quote):
        segment_judge_addresses(segment)
    else:
        segment.kind = KIND_OTHER


cdef void segment_parse_transport(Segment *segment, const IpHeader *ip) noexcept nogil:
    if ip.protocol == PROTOCOL_TCP:
        segment_judge_addresses(segment)
        if ip.fragment:
            segment.kind = KIND_FRAGMENT
        else:
            segment_parse_tcp(segment)
    elif ip.protocol == (PROTOCOL_ICMP if ip.family == 4 else PROTOCOL_ICMPV6):
        if not ip.fragment:
            segment_parse_icmp(segment)


cdef inline bint segment_verify_ipv4(const Segment *segment) noexcept nogil:
    cdef const uint8_t *header = segment.frame + segment.l3
    cdef uint32_t options_bytes = segment.l4 - segment.l3 - IPV4_BYTES
    cdef uint64_t sum = checksum_add_20(header, 0)
    if options_bytes != 0:
        sum = checksum_add(header + IPV4_BYTES, options_bytes, sum)
    return checksum_fold(sum) == 0xFFFF


cdef void segment_parse_ip(Segment *segment, uint8_t family) noexcept nogil:
    cdef IpHeader ip
    cdef bint placed = ip_parse(segment.frame, segment.l3, segment.frame_bytes, False, &ip)
    segment.fault = ip.fault
    # Where the EtherType says otherwise, nothing that was read is what it seems.
    if ip.family != family and (placed or segment.fault == FAULT_EXTENSION_MALFORMED):
        segment.fault = FAULT_IP_MALFORMED
        placed = False
    if placed or segment.fault == FAULT_EXTENSION_MALFORMED:
        segment.family = family
        ip_load_addresses(family, segment.frame + segment.l3, segment.source,
                          segment.destination)
    if not placed:
        segment.kind = KIND_MALFORMED
        return
    segment.l4 = <uint16_t>ip.l4
    segment.l4_bytes = <uint16_t>(ip.end - ip.l4)
    if family == 4 and not segment_verify_ipv4(segment):
        segment.fault = FAULT_IP_CHECKSUM
    segment_parse_transport(segment, &ip)


cdef uint8_t segment_parse(Segment *segment) noexcept nogil:
    cdef uint16_t ethertype
    segment_clear(segment)
    ethertype = segment_parse_ethernet(segment)
    if ethertype == ETHERTYPE_IPV4:
        segment_parse_ip(segment, 4)
    elif ethertype == ETHERTYPE_IPV6:
        segment_parse_ip(segment, 6)
    elif segment.l3 == 0:
        segment.kind = KIND_MALFORMED
        segment.fault = FAULT_FRAME_TRUNCATED
    return segment.kind


cdef inline bint segment_verify(Segment *segment) noexcept nogil:
    cdef const uint8_t *tcp = segment.frame + segment.l4
    cdef uint64_t total = checksum_addresses(segment.source, segment.destination)
    total += htobe32(segment.l4_bytes)
    total += htobe32(PROTOCOL_TCP)
    total = checksum_add_20(tcp, total)
    total = checksum_add_short(tcp + TCP_BYTES, segment.l4_bytes - TCP_BYTES, total)
    if checksum_fold(total) == 0xFFFF:
        return True
    segment.fault = FAULT_TCP_CHECKSUM
    return False


cdef inline uint64_t verify(Segment *segments, uint64_t which) noexcept nogil:
    cdef uint64_t wrong = 0
    cdef uint32_t i
    while which:
        i = __builtin_ctzll(which)
        which &= which - 1
        if not segment_verify(&segments[i]):
            wrong |= <uint64_t>1 << i
    return wrong


cdef uint64_t verify_narrowest(Segment *segments, uint64_t which) noexcept nogil:
    return verify(segments, which)


cdef uint64_t verify_v3 "synproxy_verify_v3"(Segment *segments, uint64_t which) noexcept nogil:
    return verify(segments, which)


cdef uint64_t verify_v4 "synproxy_verify_v4"(Segment *segments, uint64_t which) noexcept nogil:
    return verify(segments, which)


cdef SegmentsVerify segments_verify(uint32_t width) noexcept nogil:
    cdef SegmentsVerify[WIDTHS_MAX] variants = [verify_narrowest, verify_v3, verify_v4]
    return variants[width]
