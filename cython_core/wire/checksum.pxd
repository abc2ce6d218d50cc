"""The Internet checksum: whole (RFC 1071) and incremental (RFC 1624).

Sums are kept in 32 or 64 bits in *wire order* (bytes as they lie, RFC 1071 §2(B): the sum
does not care), and folded once at the end.  A difference that starts at an odd offset of
its header is byte-swapped before it joins the sum.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.byteorder cimport htobe32


cdef enum:
    CHECKSUM_SHORT = 64         # bytes; from there on vectors pay for what is around them


# 32-bit words into a 64-bit sum: no carry to look after within 2^32 words, so that the loop
# becomes vector additions, as wide as the function that it stands in is compiled for.
cdef inline uint64_t checksum_add_words(const uint8_t *data, size_t words,
                                        uint64_t sum) noexcept nogil:
    cdef size_t i
    cdef uint32_t word
    for i in range(words):
        memcpy(&word, data + 4 * i, 4)
        sum += word
    return sum


# Up to three bytes at the end of a message.
cdef inline uint64_t checksum_add_last(const uint8_t *data, uint32_t length,
                                       uint64_t sum) noexcept nogil:
    cdef uint16_t half
    if length & 2:
        memcpy(&half, data, 2)
        sum += half
        data += 2
    if length & 1:
        half = 0
        memcpy(&half, data, 1)  # the missing byte is the second on the wire, in either endianness
        sum += half
    return sum


# One's complement sum of `length` bytes added to `sum`; unfolded.  An odd last byte is
# padded with zero, so only the last piece of a message may have an odd length.
cdef inline uint64_t checksum_add(const uint8_t *data, uint32_t length,
                                  uint64_t sum) noexcept nogil:
    sum = checksum_add_words(data, length >> 2, sum)
    return checksum_add_last(data + (length & ~<uint32_t>3), length & 3, sum)


# The same for 16 bytes.
cdef inline uint64_t checksum_add_16(const uint8_t *data, uint64_t sum) noexcept nogil:
    cdef uint64_t words[2]
    memcpy(words, data, 16)
    return (sum + <uint32_t>words[0] + (words[0] >> 32)
            + <uint32_t>words[1] + (words[1] >> 32))


# The same for 20 bytes, the IPv4 or TCP header without options.
cdef inline uint64_t checksum_add_20(const uint8_t *data, uint64_t sum) noexcept nogil:
    cdef uint32_t last
    memcpy(&last, data + 16, 4)
    return checksum_add_16(data, sum) + last


# The same for what is mostly short: a header's options.  By the bits of its length, since of a loop
# the compiler would make vectors that it has to add up again.
cdef inline uint64_t checksum_add_short(const uint8_t *data, uint32_t length,
                                        uint64_t sum) noexcept nogil:
    cdef uint64_t words
    cdef uint32_t word
    if length >= CHECKSUM_SHORT:
        return checksum_add(data, length, sum)
    if length & 32:
        sum = checksum_add_16(data + 16, checksum_add_16(data, sum))
        data += 32
    if length & 16:
        sum = checksum_add_16(data, sum)
        data += 16
    if length & 8:
        memcpy(&words, data, 8)
        sum += <uint32_t>words + (words >> 32)
        data += 8
    if length & 4:
        memcpy(&word, data, 4)
        sum += word
        data += 4
    return checksum_add_last(data, length & 3, sum)


# The addresses' part of a pseudo-header's sum, both in the 16 bytes of a Flow: IPv4's prefix
# adds 0xFFFF, which is 0 in one's complement.
cdef inline uint64_t checksum_addresses(const uint8_t *one, const uint8_t *other) noexcept nogil:
    cdef uint64_t words[4]
    memcpy(words, one, 16)
    memcpy(words + 2, other, 16)
    return (<uint32_t>words[0] + (words[0] >> 32) + <uint32_t>words[1] + (words[1] >> 32)
            + <uint32_t>words[2] + (words[2] >> 32) + <uint32_t>words[3] + (words[3] >> 32))


# Store `value` (host order) and return what it adds to a sum: a header that is written word by
# word need not be read again, which would wait for the stores.
cdef inline uint64_t checksum_store32(uint8_t *at, uint32_t value) noexcept nogil:
    cdef uint32_t value_be = htobe32(value)
    memcpy(at, &value_be, 4)
    return value_be


# Store a sum's complement as the checksum field that it belongs to.
cdef inline void checksum_store(uint8_t *field, uint64_t sum) noexcept nogil:
    cdef uint16_t folded = <uint16_t>~checksum_fold(sum)
    memcpy(field, &folded, 2)


# 64-bit sum to 16 bits, not complemented.  The halves are added crosswise: what the lower addition
# carries comes to the upper one, which is then the halves' sum with its carry come round.
cdef inline uint16_t checksum_fold(uint64_t sum) noexcept nogil:
    cdef uint32_t folded
    sum += sum << 32 | sum >> 32
    folded = <uint32_t>(sum >> 32)
    folded += folded << 16 | folded >> 16
    return <uint16_t>(folded >> 16)


# The sum of the TCP (or ICMPv6) pseudo-header.  `addresses` are the source and destination
# as they lie in the IP header: 8 bytes (IPv4) or 32 (IPv6); RFC 9293 §3.1, RFC 8200 §8.1.
cdef uint64_t checksum_pseudo(const uint8_t *addresses, uint32_t addresses_bytes,
                              uint32_t l4_bytes, uint8_t protocol) noexcept nogil


# What replacing `old` by `new` (host order) adds to a header's sum: RFC 1624 eqn 3's
# ~m + m'.  `odd` where the field starts at an odd offset from the header's first byte.
cdef uint64_t checksum_delta32(uint32_t old, uint32_t new, bint odd) noexcept nogil
cdef uint64_t checksum_delta16(uint16_t old, uint16_t new) noexcept nogil


# Apply a sum of deltas to the 16-bit checksum field at `field`: HC' = ~(~HC + ~m + m').
# No delta, no change: the field's bytes stay what they were (mind the two zeros).
cdef void checksum_apply(uint8_t *field, uint64_t delta) noexcept nogil
