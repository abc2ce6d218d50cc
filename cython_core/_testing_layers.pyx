from libc.string cimport memcpy, memset

from cython_core.wire.byteorder cimport load16, store16, store32
from cython_core.wire.checksum cimport checksum_add, checksum_pseudo, checksum_store
from cython_core.wire.segment cimport (
    ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_QINQ, ETHERTYPE_VLAN, FRAME_BYTES_MIN,
    IPV4_BYTES, IPV6_BYTES, PROTOCOL_ICMP, PROTOCOL_ICMPV6, PROTOCOL_TCP,
)

cdef enum:
    ICMP_BYTES = 8
    QUOTED_BYTES_MAX = 40

# Type and code; those that say "too big" first.
cdef uint16_t[8] ERRORS_V4 = [0x0304, 0x0301, 0x0303, 0x030D, 0x0B00, 0x0C00, 0x0800, 0x0302]
cdef uint16_t[8] ERRORS_V6 = [0x0200, 0x0101, 0x0104, 0x0300, 0x0400, 0x8000, 0x0103, 0x0105]


cdef Layers layers_write(const Talk *talk, bint from_client, uint8_t protocol, uint32_t l4_bytes,
                         uint8_t *frame) noexcept nogil:
    cdef Layers layers
    cdef uint32_t at = ETHERNET_BYTES - 2
    memset(frame, 0, FRAME_BYTES_MIN)
    frame[0] = frame[6] = 0x02
    frame[5] = 1 + from_client
    frame[11] = 2 - from_client
    if talk.tags == 2:
        store32(frame + at, <uint32_t>ETHERTYPE_QINQ << 16 | 9)
        at += 4
    if talk.tags >= 1:
        store32(frame + at, <uint32_t>ETHERTYPE_VLAN << 16 | 7)
        at += 4
    store16(frame + at, ETHERTYPE_IPV4 if talk.family == 4 else ETHERTYPE_IPV6)
    layers.family = talk.family
    layers.protocol = protocol
    layers.l3 = at + 2
    layers.l4 = layers.l3 + ip_write(talk, from_client, protocol, l4_bytes, frame + layers.l3)
    layers.end = layers.l4 + l4_bytes
    return layers


# Returns the header's length.
cdef uint32_t ip_write(const Talk *talk, bint from_client, uint8_t protocol, uint32_t payload_bytes,
                       uint8_t *ip) noexcept nogil:
    cdef uint8_t *client
    cdef uint8_t *server
    if talk.family == 4:
        store32(ip, 0x45000000 | (IPV4_BYTES + payload_bytes))
        store32(ip + 4, 0x00004000)
        store32(ip + 8, 0x40000000 | <uint32_t>protocol << 16)
        client, server = ip + 12, ip + 16
        if not from_client:
            client, server = server, client
        store32(client, <uint32_t>0xC6336401 + (talk.client_port & 7))    # 198.51.100.0/24
        store32(server, 0x0A000002)
        checksum_store(ip + 10, checksum_add(ip, IPV4_BYTES, 0))
        return IPV4_BYTES
    store32(ip, 0x60012345)
    store32(ip + 4, payload_bytes << 16 | <uint32_t>protocol << 8 | 64)
    memset(ip + 8, 0, 32)
    client, server = ip + 8, ip + 24
    if not from_client:
        client, server = server, client
    store32(client, 0x20010DB8)
    client[15] = <uint8_t>(1 + (talk.client_port & 7))
    server[0] = 0xFD
    server[15] = 2
    return IPV6_BYTES


cdef Layers layers_of(const uint8_t *frame) noexcept nogil:
    cdef Layers layers
    cdef uint32_t at = ETHERNET_BYTES - 2
    while load16(frame + at) == ETHERTYPE_VLAN or load16(frame + at) == ETHERTYPE_QINQ:
        at += 4
    layers.l3 = at + 2
    layers.family = 4 if load16(frame + at) == ETHERTYPE_IPV4 else 6
    if layers.family == 4:
        layers.protocol = frame[layers.l3 + 9]
        layers.l4 = layers.l3 + IPV4_BYTES
        layers.end = layers.l3 + load16(frame + layers.l3 + 2)
    else:
        layers.protocol = frame[layers.l3 + 6]
        layers.l4 = layers.l3 + IPV6_BYTES
        layers.end = layers.l4 + load16(frame + layers.l3 + 4)
    return layers


cdef void layers_seal(const Layers *layers, uint8_t *frame) noexcept nogil:
    cdef uint8_t *ip = frame + layers.l3
    cdef uint8_t *l4 = frame + layers.l4
    cdef uint32_t l4_bytes = layers.end - layers.l4
    cdef uint8_t *field = l4 + (16 if layers.protocol == PROTOCOL_TCP else 2)
    store16(field, 0)
    if layers.family == 4:
        store16(ip + 10, 0)
        checksum_store(ip + 10, checksum_add(ip, IPV4_BYTES, 0))
    if layers.protocol == PROTOCOL_ICMP:
        checksum_store(field, checksum_add(l4, l4_bytes, 0))
    elif layers.family == 4:
        checksum_store(field, checksum_add(
            l4, l4_bytes, checksum_pseudo(ip + 12, 8, l4_bytes, layers.protocol)))
    else:
        checksum_store(field, checksum_add(
            l4, l4_bytes, checksum_pseudo(ip + 8, 32, l4_bytes, layers.protocol)))


cdef uint16_t quote_write(const Talk *talk, bint from_client, uint8_t kind, uint16_t mtu,
                          uint32_t seq, uint32_t quoted_bytes, uint8_t *frame) noexcept nogil:
    cdef uint8_t protocol = PROTOCOL_ICMP if talk.family == 4 else PROTOCOL_ICMPV6
    cdef uint32_t ip_bytes = IPV4_BYTES if talk.family == 4 else IPV6_BYTES
    cdef Layers layers = layers_write(talk, from_client, protocol,
                                      ICMP_BYTES + ip_bytes + quoted_bytes, frame)
    cdef uint8_t *icmp = frame + layers.l4
    cdef uint8_t *tcp = icmp + ICMP_BYTES + ip_bytes
    cdef uint8_t[QUOTED_BYTES_MAX] header
    memset(header, 0, QUOTED_BYTES_MAX)
    store16(icmp, ERRORS_V4[kind & 7] if talk.family == 4 else ERRORS_V6[kind & 7])
    store16(icmp + 2, 0)
    store32(icmp + 4, mtu)
    # What the other end had sent, its payload 1000 bytes long.
    ip_write(talk, not from_client, PROTOCOL_TCP, 1020, icmp + ICMP_BYTES)
    store16(header, talk.server_port if from_client else talk.client_port)
    store16(header + 2, talk.client_port if from_client else talk.server_port)
    store32(header + 4, seq)
    store32(header + 12, 0x50100200)
    memcpy(tcp, header, quoted_bytes)
    layers_seal(&layers, frame)
    return <uint16_t>layers.end
