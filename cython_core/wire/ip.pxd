"""IP headers, of a frame or of the quote in an ICMP error: where the transport header lies.

Reading list: RFC 791 §3.1; RFC 8200 §3-4, RFC 4302 §2 (the one extension header that counts its
length in 4 bytes), RFC 6946 (atomic fragments), RFC 7112 (a first fragment holds all headers),
RFC 4291 §2.5 (addresses), RFC 1122 §3.2.1.3 (sources that no host may have).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.byteorder cimport load32, load64_raw

cdef extern from "<endian.h>" nogil:
    uint64_t htobe64(uint64_t) noexcept

cdef enum:
    PROTOCOL_HOP_BY_HOP = 0     # IANA protocol numbers: the extension headers that we step over
    PROTOCOL_ROUTING = 43
    PROTOCOL_FRAGMENT = 44
    PROTOCOL_AUTHENTICATION = 51
    PROTOCOL_DESTINATION = 60


# Offsets from the frame's first byte; at <= l4 <= end <= limit of the ip_parse that filled it.
cdef struct IpHeader:
    uint8_t family              # 4 or 6, by the version field; 0 where there is none
    uint8_t fault               # a Fault
    uint8_t protocol            # of what lies at l4
    bint fragment               # a piece of a datagram; an atomic fragment is whole
    uint16_t fragment_offset    # bytes of the datagram before this piece
    uint32_t l4                 # the transport header; of a later fragment, what it holds
    uint32_t end                # behind the packet's last byte, by its length field


# Reads the header at frame[at], within frame[0..limit).  A packet that says it is longer than
# that is malformed, unless it is `quoted`: then `end` is where the quote ends.
# False where there is no way to the transport header; `fault` says why, and the addresses are
# inside the frame if it says FAULT_EXTENSION_MALFORMED.  IPv4's header checksum isn't judged.
cdef bint ip_parse(const uint8_t *frame, uint32_t at, uint32_t limit, bint quoted,
                   IpHeader *ip) noexcept nogil


# ::ffff:0:0/96
cdef inline bint ip_is_mapped(const uint8_t *address) noexcept nogil:
    return load64_raw(address) == 0 and load32(address + 8) == 0x0000FFFF


# Whether the address, as in Flow, is no single host's: multicast, broadcast, loopback, unspecified
# or reserved; or an IPv4-mapped one of IPv6, which would pass for the IPv4 flow that we keep under
# that name.
cdef inline bint ip_is_no_hosts(uint8_t family, const uint8_t *address) noexcept nogil:
    if family == 4:
        # 0/8 this network, 127/8 loopback, 224/4 multicast, 240/4 reserved with 255.255.255.255.
        return address[12] == 0 or address[12] == 127 or address[12] >= 224
    if address[0] == 0xFF or ip_is_mapped(address):
        return True
    # :: and ::1
    return load64_raw(address) == 0 and load32(address + 8) == 0 and load32(address + 12) <= 1


# TCP is between two hosts, and answers nothing else: RFC 9293 §3.9.2.3.
cdef inline bint ip_is_martian(uint8_t family, const uint8_t *source,
                               const uint8_t *destination) noexcept nogil:
    return ip_is_no_hosts(family, source) or ip_is_no_hosts(family, destination)


# `address` of a header, 4 or 16 bytes, to the 16 bytes of a Flow.
cdef inline void ip_load_address(uint8_t family, const uint8_t *address,
                                 uint8_t *flow_address) noexcept nogil:
    cdef uint64_t[2] words
    if family == 6:
        memcpy(flow_address, address, 16)
    else:
        # In two stores of 8 bytes, as it is read again soon: the CPU forwards whole stores.
        words[0] = 0
        words[1] = htobe64(<uint64_t>0x0000FFFF00000000 | load32(address))
        memcpy(flow_address, words, 16)


# Both addresses of the header at `header`.
cdef inline void ip_load_addresses(uint8_t family, const uint8_t *header, uint8_t *source,
                                   uint8_t *destination) noexcept nogil:
    if family == 6:
        ip_load_address(6, header + 8, source)
        ip_load_address(6, header + 24, destination)
    else:
        ip_load_address(4, header + 12, source)
        ip_load_address(4, header + 16, destination)
