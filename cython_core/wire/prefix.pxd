"""An address prefix, held against addresses as Flow has them.

They are 16 bytes, IPv4 behind ::ffff:0:0/96.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.wire.byteorder cimport load64_raw


# In the order of the bytes in memory.  All zero: any address.
cdef struct Prefix:
    uint64_t value[2]
    uint64_t mask[2]


cdef inline void prefix_set(Prefix *prefix, const uint8_t *address, uint32_t bits) noexcept nogil:
    cdef uint8_t *mask = <uint8_t *>prefix.mask
    cdef uint32_t at
    for at in range(16):
        mask[at] = 0xFF
        if bits <= 8 * at:
            mask[at] = 0
        elif bits < 8 * at + 8:
            mask[at] = <uint8_t>(0xFF << (8 * at + 8 - bits))
    prefix.value[0] = load64_raw(address) & prefix.mask[0]
    prefix.value[1] = load64_raw(address + 8) & prefix.mask[1]


cdef inline bint prefix_covers(const Prefix *prefix, const uint8_t *address) noexcept nogil:
    return (load64_raw(address) & prefix.mask[0] == prefix.value[0]
            and load64_raw(address + 8) & prefix.mask[1] == prefix.value[1])
