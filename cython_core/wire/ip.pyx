"""IP headers: fixed part, IPv6 extension headers, addresses."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from cython_core.wire.byteorder cimport load16
from cython_core.wire.segment cimport (
    EXTENSIONS_MAX, FAULT_EXTENSION_MALFORMED, FAULT_FRAME_TRUNCATED, FAULT_IP_MALFORMED,
    FAULT_NONE, IPV4_BYTES, IPV6_BYTES,
)

cdef enum:
    IPV4_MORE_OR_OFFSET = 0x3FFF    # RFC 791 §3.1: MF and the fragment offset
    IPV4_OFFSET = 0x1FFF
    IPV6_MORE_OR_OFFSET = 0xFFF9    # RFC 8200 §4.5: the offset is on top, M below
    IPV6_OFFSET = 0xFFF8
    EXTENSION_BYTES_MIN = 8


cdef inline bint ip_refuse(IpHeader *ip, uint8_t fault) noexcept nogil:
    ip.fault = fault
    return False


# The packet's last byte by its length field against what is there.
cdef inline bint ip_set_end(uint32_t end, uint32_t limit, bint quoted,
                            IpHeader *ip) noexcept nogil:
    if end > limit and not quoted:
        return ip_refuse(ip, FAULT_IP_MALFORMED)
    ip.end = end if end < limit else limit
    return True


cdef inline bint ipv4_parse(const uint8_t *frame, uint32_t at, uint32_t limit, bint quoted,
                            IpHeader *ip) noexcept nogil:
    cdef uint32_t header_bytes = 4 * (frame[at] & 0x0F)
    cdef uint32_t total_bytes
    cdef uint16_t piece
    if header_bytes < IPV4_BYTES:
        return ip_refuse(ip, FAULT_IP_MALFORMED)
    if limit - at < header_bytes:
        return ip_refuse(ip, FAULT_FRAME_TRUNCATED)
    total_bytes = load16(frame + at + 2)
    if total_bytes < header_bytes:
        return ip_refuse(ip, FAULT_IP_MALFORMED)
    piece = load16(frame + at + 6)
    ip.fragment = piece & IPV4_MORE_OR_OFFSET != 0
    ip.fragment_offset = <uint16_t>(8 * (piece & IPV4_OFFSET))
    ip.protocol = frame[at + 9]
    ip.l4 = at + header_bytes
    return ip_set_end(at + total_bytes, limit, quoted, ip)


cdef inline bint ipv6_is_extension(uint8_t protocol) noexcept nogil:
    return (protocol == PROTOCOL_HOP_BY_HOP or protocol == PROTOCOL_ROUTING
            or protocol == PROTOCOL_FRAGMENT or protocol == PROTOCOL_AUTHENTICATION
            or protocol == PROTOCOL_DESTINATION)


# From the extension header at ip.l4 to what comes behind it.
cdef bint ipv6_step(const uint8_t *frame, IpHeader *ip) noexcept nogil:
    cdef const uint8_t *extension = frame + ip.l4
    cdef uint32_t extension_bytes
    cdef uint16_t piece
    if ip.end - ip.l4 < EXTENSION_BYTES_MIN:
        return ip_refuse(ip, FAULT_EXTENSION_MALFORMED)
    if ip.protocol == PROTOCOL_FRAGMENT:
        extension_bytes = 8
        piece = load16(extension + 2)
        ip.fragment |= piece & IPV6_MORE_OR_OFFSET != 0
        ip.fragment_offset = piece & IPV6_OFFSET
    elif ip.protocol == PROTOCOL_AUTHENTICATION:
        extension_bytes = 4 * (extension[1] + 2)
    else:
        extension_bytes = 8 * (extension[1] + 1)
    if ip.end - ip.l4 < extension_bytes:
        return ip_refuse(ip, FAULT_EXTENSION_MALFORMED)
    # With segments left the destination address isn't the last one, which alone tells the flow
    # and is under the TCP checksum (RFC 8200 §8.1): nothing that a host at this address accepts.
    if ip.protocol == PROTOCOL_ROUTING and extension[3] != 0:
        ip.fault = FAULT_EXTENSION_MALFORMED
    ip.protocol = extension[0]
    ip.l4 += extension_bytes
    return True


cdef bint ipv6_walk(const uint8_t *frame, IpHeader *ip) noexcept nogil:
    cdef uint32_t _walked
    for _walked in range(EXTENSIONS_MAX):
        # Behind the header of a later fragment lies the middle of something, no next header.
        if not ipv6_is_extension(ip.protocol) or ip.fragment_offset != 0:
            return True
        if not ipv6_step(frame, ip):
            return False
    if ipv6_is_extension(ip.protocol) and ip.fragment_offset == 0:
        return ip_refuse(ip, FAULT_EXTENSION_MALFORMED)
    return True


cdef inline bint ipv6_parse(const uint8_t *frame, uint32_t at, uint32_t limit, bint quoted,
                            IpHeader *ip) noexcept nogil:
    if limit - at < IPV6_BYTES:
        return ip_refuse(ip, FAULT_FRAME_TRUNCATED)
    ip.fragment = False
    ip.fragment_offset = 0
    ip.protocol = frame[at + 6]
    ip.l4 = at + IPV6_BYTES
    # Length 0 is a jumbogram (RFC 2675), which no frame of 16-bit length holds, or no payload.
    if not ip_set_end(ip.l4 + load16(frame + at + 4), limit, quoted, ip):
        return False
    return ipv6_walk(frame, ip)


cdef bint ip_parse(const uint8_t *frame, uint32_t at, uint32_t limit, bint quoted,
                   IpHeader *ip) noexcept nogil:
    ip.family = 0
    ip.fault = FAULT_NONE
    if limit < at + IPV4_BYTES:
        return ip_refuse(ip, FAULT_FRAME_TRUNCATED)
    ip.family = frame[at] >> 4
    if ip.family == 4:
        return ipv4_parse(frame, at, limit, quoted, ip)
    if ip.family == 6:
        return ipv6_parse(frame, at, limit, quoted, ip)
    return ip_refuse(ip, FAULT_IP_MALFORMED)
