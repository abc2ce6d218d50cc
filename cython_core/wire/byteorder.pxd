"""Loads and stores of wire bytes: unaligned, in network order.

`_be` in a name elsewhere in the tree marks a value still in wire order; everything
these functions return is in host order.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy


cdef extern from "<endian.h>" nogil:
    uint16_t be16toh(uint16_t) noexcept
    uint32_t be32toh(uint32_t) noexcept
    uint16_t htobe16(uint16_t) noexcept
    uint32_t htobe32(uint32_t) noexcept


cdef inline uint16_t load16(const uint8_t *at) noexcept nogil:
    cdef uint16_t value
    memcpy(&value, at, 2)
    return be16toh(value)


cdef inline uint32_t load32(const uint8_t *at) noexcept nogil:
    cdef uint32_t value
    memcpy(&value, at, 4)
    return be32toh(value)


# Eight bytes as they lie in memory: for hashing and comparing addresses, never for arithmetic.
cdef inline uint64_t load64_raw(const uint8_t *at) noexcept nogil:
    cdef uint64_t value
    memcpy(&value, at, 8)
    return value


cdef inline void store16(uint8_t *at, uint16_t value) noexcept nogil:
    cdef uint16_t value_be = htobe16(value)
    memcpy(at, &value_be, 2)


cdef inline void store32(uint8_t *at, uint32_t value) noexcept nogil:
    cdef uint32_t value_be = htobe32(value)
    memcpy(at, &value_be, 4)
