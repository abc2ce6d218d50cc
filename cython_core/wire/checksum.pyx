"""The Internet checksum: sums of words as they lie, folded by whoever needs 16 bits.

Reading list: RFC 1071 §2 (B: byte order, C: wider words, D: loops), §4.1; RFC 1624 §3-4.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.byteorder cimport htobe16, htobe32


cdef uint64_t checksum_pseudo(const uint8_t *addresses, uint32_t addresses_bytes,
                              uint32_t l4_bytes, uint8_t protocol) noexcept nogil:
    return checksum_add_words(addresses, addresses_bytes >> 2,
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
