from libc.string cimport memcpy

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

cdef enum:
    ADDRESS_BYTES = 16
    # In the word that a connection's hash has 0 in (proxy/conntable): both have one key.
    SOURCE_MARK = 1


cdef uint64_t source_digest(const Flow *flow, const Service *service, uint32_t epoch,
                            const SipKey *key) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef uint8_t[ADDRESS_BYTES] prefix
    prefix_take(prefix, flow.client_address, service)
    words[0] = load64_raw(prefix)
    words[1] = load64_raw(prefix + 8)
    words[2] = <uint64_t>service.tag << 32 | epoch
    words[3] = 0
    words[4] = 0
    words[5] = SOURCE_MARK
    return siphash_words(words, key)


cdef inline void prefix_take(uint8_t *prefix, const uint8_t *address,
                             const Service *service) noexcept nogil:
    cdef uint32_t bits = service.source_bits if is_mapped(address) else service.source_bits_ipv6
    cdef uint32_t at
    memcpy(prefix, address, ADDRESS_BYTES)
    for at in range(bits // 8, ADDRESS_BYTES):
        prefix[at] &= <uint8_t>(0xFF00 >> (bits % 8)) if at == bits // 8 else <uint8_t>0


# IPv4 behind ::ffff:0:0/96.
cdef inline bint is_mapped(const uint8_t *address) noexcept nogil:
    cdef uint32_t at
    for at in range(10):
        if address[at] != 0:
            return False
    return address[10] == 0xFF and address[11] == 0xFF


cdef inline uint32_t cell_of(uint64_t digest, uint32_t row) noexcept nogil:
    return <uint32_t>(digest >> row * SOURCE_CELL_BITS) & (SOURCE_CELLS - 1)


cdef uint64_t source_spent(const Sources *sources, uint64_t digest) noexcept nogil:
    cdef uint64_t least = sources.spent_ns[0][cell_of(digest, 0)]
    cdef uint64_t spent
    cdef uint32_t row
    for row in range(1, SOURCE_ROWS):
        spent = sources.spent_ns[row][cell_of(digest, row)]
        least = spent if spent < least else least
    return least


cdef void source_spend(Sources *sources, uint64_t digest, uint64_t spent_ns) noexcept nogil:
    cdef uint64_t *cell
    cdef uint32_t row
    for row in range(SOURCE_ROWS):
        cell = &sources.spent_ns[row][cell_of(digest, row)]
        if cell[0] < spent_ns:
            cell[0] = spent_ns
