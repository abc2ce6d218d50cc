"""ICMP and ICMPv6 errors that quote a TCP segment.

Reading list: RFC 792 (types 3, 11, 12), RFC 1812 §4.3.2.3, RFC 4443 §3 (types 1-4),
RFC 4884 (the quote may be cut; we need its IP header and the first 8 bytes of TCP).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t
from cython_core.wire.segment cimport Segment

# What is quoted; offsets from the frame's first byte.
cdef struct Quote:
    uint8_t family
    uint16_t l3                 # the quoted IP header
    uint16_t l4                 # the quoted TCP header
    uint16_t l4_bytes           # of it and its payload present in the quote: >= 8
    uint16_t sport              # of the quoted segment
    uint16_t dport
    uint32_t seq
    uint8_t source[16]          # as in Flow
    uint8_t destination[16]


# True where `segment` (any IP frame that segment_parse has placed l3 and l4 for) is an error
# message that quotes the ports and sequence number of a TCP segment.
cdef bint icmp_parse_quote(const Segment *segment, Quote *quote) noexcept nogil


# True where that error says that the destination will not be reached, now or later: protocol or
# port unreachable (RFC 1122 §4.2.3.9, RFC 4443 §3.1), or prohibited (RFC 1812 §5.2.7.1).  Net and
# host unreachable may pass.
cdef bint icmp_is_hard(const Segment *segment) noexcept nogil


# The MTU that a "packet too big" names (RFC 1191 §4, RFC 4443 §3.2); 0 where it is none, or names
# none.
cdef uint32_t icmp_mtu(const Segment *segment) noexcept nogil

# Replace it, and mend the ICMP checksum.
cdef void icmp_rewrite_mtu(const Segment *segment, uint32_t mtu) noexcept nogil


# Replace the quoted sequence number and mend the ICMP checksum.  The quoted TCP checksum is
# mended as well where the quote holds it.
cdef void icmp_rewrite_seq(const Segment *segment, const Quote *quote, uint32_t seq) noexcept nogil
