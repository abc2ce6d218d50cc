"""SipHash-2-4.  Names of the variables and of the rounds are those of the paper, §2.

Reading list: Aumasson, Bernstein, "SipHash: a fast short-input PRF", 2012, §2.1-2.4.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.widths cimport WIDTHS_MAX

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t) noexcept

cdef extern from *:
    """
    WIDTH_V3 static void synproxy_siphash_v3(
        const uint64_t *, const uint64_t *, const uint64_t *, uint64_t *, uint32_t);
    WIDTH_V4 static void synproxy_siphash_v4(
        const uint64_t *, const uint64_t *, const uint64_t *, uint64_t *, uint32_t);
    """

cdef enum:
    CHUNK = 8               # lanes hashed together: one AVX-512 register of 64-bit words


cdef struct SipState:
    uint64_t v0
    uint64_t v1
    uint64_t v2
    uint64_t v3


cdef inline uint64_t rotate_left(uint64_t value, uint32_t bits) noexcept nogil:
    return (value << bits) | (value >> (64 - bits))


cdef inline void sip_begin(SipState *s, uint64_t k0, uint64_t k1) noexcept nogil:
    s.v0 = k0 ^ <uint64_t>0x736F6D6570736575    # "somepseudorandomlygeneratedbytes"
    s.v1 = k1 ^ <uint64_t>0x646F72616E646F6D
    s.v2 = k0 ^ <uint64_t>0x6C7967656E657261
    s.v3 = k1 ^ <uint64_t>0x7465646279746573


cdef inline void sip_round(SipState *s) noexcept nogil:
    s.v0 += s.v1
    s.v2 += s.v3
    s.v1 = rotate_left(s.v1, 13) ^ s.v0
    s.v3 = rotate_left(s.v3, 16) ^ s.v2
    s.v0 = rotate_left(s.v0, 32)
    s.v2 += s.v1
    s.v0 += s.v3
    s.v1 = rotate_left(s.v1, 17) ^ s.v2
    s.v3 = rotate_left(s.v3, 21) ^ s.v0
    s.v2 = rotate_left(s.v2, 32)


cdef inline void sip_compress(SipState *s, uint64_t word) noexcept nogil:
    s.v3 ^= word
    sip_round(s)
    sip_round(s)
    s.v0 ^= word


cdef inline uint64_t sip_finalize(SipState *s) noexcept nogil:
    s.v2 ^= 0xFF
    sip_round(s)
    sip_round(s)
    sip_round(s)
    sip_round(s)
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3


# The last word of a message: its length mod 256 on top, what is left of its bytes below.
cdef inline uint64_t sip_last_word(const uint8_t *rest, uint32_t length) noexcept nogil:
    cdef uint64_t word = <uint64_t>length << 56
    cdef uint32_t i
    for i in range(length & 7):
        word |= <uint64_t>rest[i] << (8 * i)
    return word


cdef uint64_t siphash_bytes(const uint8_t *data, uint32_t length, const SipKey *key) noexcept nogil:
    cdef SipState s
    cdef uint64_t word
    cdef uint32_t i
    sip_begin(&s, key.k0, key.k1)
    for i in range(length >> 3):
        memcpy(&word, data + 8 * i, 8)
        sip_compress(&s, le64toh(word))
    sip_compress(&s, sip_last_word(data + (length & ~<uint32_t>7), length))
    return sip_finalize(&s)


# Straight-line over the words: the callers' loop over lanes is the one to be vectorised.
cdef inline uint64_t sip_hash(const uint64_t *words, size_t stride,
                              uint64_t k0, uint64_t k1) noexcept nogil:
    cdef SipState s
    sip_begin(&s, k0, k1)
    sip_compress(&s, words[0])
    sip_compress(&s, words[stride])
    sip_compress(&s, words[2 * stride])
    sip_compress(&s, words[3 * stride])
    sip_compress(&s, words[4 * stride])
    sip_compress(&s, words[5 * stride])
    sip_compress(&s, <uint64_t>(8 * SIPHASH_WORDS) << 56)
    return sip_finalize(&s)


cdef uint64_t siphash_words(const uint64_t *words, const SipKey *key) noexcept nogil:
    return sip_hash(words, 1, key.k0, key.k1)


cdef inline void hash_lanes(const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
                            uint64_t *digest, uint32_t count) noexcept nogil:
    # A chunk's digests stay in a local array until all are known, so that the compiler need
    # not ask whether `digest` overlaps an input.
    cdef uint64_t chunk[CHUNK]
    cdef size_t first = 0
    cdef size_t lane
    while first < count:
        for lane in range(CHUNK):
            chunk[lane] = sip_hash(words + first + lane, SIPHASH_LANES,
                                   k0[first + lane], k1[first + lane])
        memcpy(digest + first, chunk, sizeof(chunk))
        first += CHUNK


cdef void hash_narrowest(const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
                         uint64_t *digest, uint32_t count) noexcept nogil:
    hash_lanes(words, k0, k1, digest, count)


cdef void hash_v3 "synproxy_siphash_v3"(
        const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
        uint64_t *digest, uint32_t count) noexcept nogil:
    hash_lanes(words, k0, k1, digest, count)


cdef void hash_v4 "synproxy_siphash_v4"(
        const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
        uint64_t *digest, uint32_t count) noexcept nogil:
    hash_lanes(words, k0, k1, digest, count)


cdef SipHashLanes siphash_lanes(uint32_t width) noexcept nogil:
    cdef SipHashLanes[WIDTHS_MAX] variants = [hash_narrowest, hash_v3, hash_v4]
    return variants[width]
