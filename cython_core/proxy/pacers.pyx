from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

cdef enum:
    # In the word that a connection's hash has 0 in, and a source's 1: all have one key.
    PACER_MARK = 2


cdef uint64_t pacers_digest(const uint8_t *address, uint16_t port,
                            const SipKey *key) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    words[0] = load64_raw(address)
    words[1] = load64_raw(address + 8)
    words[2] = port
    words[3] = 0
    words[4] = 0
    words[5] = PACER_MARK
    return siphash_words(words, key)


cdef uint32_t pacers_find(Pacers *pacers, uint64_t server, uint64_t now_ns) noexcept nogil:
    cdef uint32_t free = PACER_NONE
    cdef uint32_t probe, at
    for probe in range(PACER_PROBES):
        at = (<uint32_t>server + probe) & (PACERS - 1)
        if at == PACER_NONE:
            continue
        if pacers.pacer[at].server == server:
            return at
        if free == PACER_NONE and is_free(&pacers.pacer[at], now_ns):
            free = at
    if free != PACER_NONE:
        pacers.pacer[free].server = server
        pacers.pacer[free].spent_ns = 0
    return free


# One that has left the round's head empty is in it still.
cdef inline bint is_free(const Pacer *pacer, uint64_t now_ns) noexcept nogil:
    return not pacer.in_round and pacer.whole_ns <= now_ns


cdef void pacers_enter(Pacers *pacers, uint32_t at) noexcept nogil:
    cdef Pacer *pacer = &pacers.pacer[at]
    if pacer.in_round:
        return
    pacer.in_round = True
    pacer.next = PACER_NONE
    if pacers.in_round == 0:
        pacers.round_first = at
    else:
        pacers.pacer[pacers.round_last].next = at
    pacers.round_last = at
    pacers.in_round += 1


cdef uint32_t pacers_next(Pacers *pacers) noexcept nogil:
    cdef uint32_t at = pacers.round_first
    pacers.round_first = pacers.pacer[at].next
    pacers.pacer[at].in_round = False
    pacers.in_round -= 1
    return at
