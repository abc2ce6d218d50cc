"""SipHash-2-4 (Aumasson, Bernstein 2012): one message, or many of equal length side by side.

`SipHashLanes` is structure-of-arrays so that the compiler makes one vector instruction of
eight lanes; there is one for each width (wire/widths), and wire/vector picks.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

cdef enum:
    SIPHASH_WORDS = 6       # 64-bit words of a lane's message: 48 bytes
    SIPHASH_LANES = 64      # lanes of one call at most: a burst


cdef struct SipKey:
    uint64_t k0
    uint64_t k1


# Of `length` bytes; the reference function, for keys and tests.
cdef uint64_t siphash_bytes(const uint8_t *data, uint32_t length, const SipKey *key) noexcept nogil


# Of one 48-byte message given as six host-order words.
cdef uint64_t siphash_words(const uint64_t *words, const SipKey *key) noexcept nogil


# Lane i hashes words[w][i], w = 0..5, under (k0[i], k1[i]) into digest[i].  Lanes past
# `count` may be written with rubbish; count <= SIPHASH_LANES.  Equal to siphash_words.
ctypedef void (*SipHashLanes)(const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
                              uint64_t *digest, uint32_t count) noexcept nogil

# By width.
cdef SipHashLanes siphash_lanes(uint32_t width) noexcept nogil
