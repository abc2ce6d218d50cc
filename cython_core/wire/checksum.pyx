"""The Internet checksum: sums of words as they lie, folded by whoever needs 16 bits.

Reading list: RFC 1071 §2 (B: byte order, C: wider words, D: loops), §4.1; RFC 1624 §3-4.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.byteorder cimport htobe16, htobe32
cimport cython_core.wire.clones

cdef extern from *:
    """
    CPU_CLONES static uint64_t synproxy_checksum_clones(const uint8_t *, size_t, uint64_t);
    """


cdef enum:
    LONG_BYTES = 128            # from here on wider vectors save more than the second call costs


# 32-bit words into a 64-bit sum: no carry to look after within 2^32 words, so that the loop
# becomes vector additions.
cdef inline uint64_t sum_words(const uint8_t *data, size_t words, uint64_t sum) noexcept nogil:
    cdef size_t i
    cdef uint32_t word
    for i in range(words):
        memcpy(&word, data + 4 * i, 4)
        sum += word
    return sum


cdef uint64_t sum_many_words "synproxy_checksum_clones"(
        const uint8_t *data, size_t words, uint64_t sum) noexcept nogil:
    return sum_words(data, words, sum)


cdef uint64_t checksum_add(const uint8_t *data, uint32_t length, uint64_t sum) noexcept nogil:
    cdef const uint8_t *rest = data + (length & ~<uint32_t>3)
    cdef uint16_t half = 0
    if length < LONG_BYTES:
        sum = sum_words(data, length >> 2, sum)
    else:
        sum = sum_many_words(data, length >> 2, sum)
    if length & 2:
        memcpy(&half, rest, 2)
        sum += half
        rest += 2
    if length & 1:
        half = 0
        memcpy(&half, rest, 1)  # the missing byte is the second on the wire, in either endianness
        sum += half
    return sum


cdef uint64_t checksum_pseudo(const uint8_t *addresses, uint32_t addresses_bytes,
                              uint32_t l4_bytes, uint8_t protocol) noexcept nogil:
    return sum_words(addresses, addresses_bytes >> 2,
                     <uint64_t>htobe32(l4_bytes) + htobe32(protocol))


cdef uint64_t checksum_delta32(uint32_t old, uint32_t new, bint odd) noexcept nogil:
    cdef uint64_t delta = <uint64_t>htobe32(~old) + htobe32(new)
    # 2^16 is 1 modulo 2^16 - 1, so a shift by a byte swaps the bytes of the folded sum.
    return delta << 8 if odd else delta


cdef uint64_t checksum_delta16(uint16_t old, uint16_t new) noexcept nogil:
    return <uint64_t>htobe16(<uint16_t>~old) + htobe16(new)


cdef void checksum_apply(uint8_t *field, uint64_t delta) noexcept nogil:
    cdef uint16_t checksum
    cdef uint16_t change = checksum_fold(delta)
    # Both zeros of one's complement: nothing has changed.  Without this, a received 0xFFFF
    # would be rewritten to its equal 0x0000.
    if change == 0 or change == 0xFFFF:
        return
    memcpy(&checksum, field, 2)
    checksum = ~checksum_fold(<uint64_t><uint16_t>~checksum + change)
    memcpy(field, &checksum, 2)
