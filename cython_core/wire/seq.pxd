"""Sequence-number arithmetic, RFC 9293 §3.4: comparisons modulo 2^32.

The only file that compares sequence numbers, timestamps (RFC 7323 §5.2 uses the same
arithmetic) or wrapping clocks.
"""

from libc.stdint cimport int16_t, int32_t, uint16_t, uint32_t


cdef inline bint seq_lt(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) < 0


cdef inline bint seq_leq(uint32_t a, uint32_t b) noexcept nogil:
    return <int32_t>(a - b) <= 0


# True where low <= value <= high on the circle, the three being less than 2^32 apart.
cdef inline bint seq_within(uint32_t value, uint32_t low, uint32_t high) noexcept nogil:
    return <uint32_t>(value - low) <= <uint32_t>(high - low)


cdef inline uint32_t seq_max(uint32_t a, uint32_t b) noexcept nogil:
    return b if seq_lt(a, b) else a


# Ticks from `then` to `now` of a 16-bit clock that wraps.
cdef inline uint16_t ticks_since(uint16_t then, uint16_t now) noexcept nogil:
    return <uint16_t>(now - then)
