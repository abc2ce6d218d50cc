from libc.string cimport memcpy

from cython_core.proxy.cookie cimport MSS_DEFAULT_IPV4, MSS_DEFAULT_IPV6
from cython_core.wire.segment cimport segment_takes_ecn

cdef extern from *:
    """
    static inline void word_store(uint64_t *at, uint64_t word)
    {
        __atomic_store_n(at, word, __ATOMIC_RELEASE);
    }
    static inline uint64_t word_acquire(const uint64_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    }
    static inline void noted_store(uint32_t *at, uint32_t noted_s)
    {
        __atomic_store_n(at, noted_s, __ATOMIC_RELAXED);
    }
    static inline uint32_t noted_load(const uint32_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline void entered_store(uint16_t *at)
    {
        __atomic_store_n(at, 1, __ATOMIC_RELEASE);
    }
    static inline int tag_claim(uint16_t *at, uint16_t tag)
    {
        uint16_t free = 0;
        return __atomic_compare_exchange_n(at, &free, tag, 0, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
    }
    """
    void word_store(uint64_t *, uint64_t) noexcept nogil
    uint64_t word_acquire(const uint64_t *) noexcept nogil
    void noted_store(uint32_t *, uint32_t) noexcept nogil
    uint32_t noted_load(const uint32_t *) noexcept nogil
    void entered_store(uint16_t *) noexcept nogil
    bint tag_claim(uint16_t *, uint16_t) noexcept nogil


cdef uint64_t learned_bytes(uint32_t slots) noexcept nogil:
    return LEARNED_HEAD_BYTES + <uint64_t>slots * (sizeof(LearnedServer) + sizeof(uint16_t))


cdef Learned *learned_init(void *block, uint32_t slots) noexcept nogil:
    cdef Learned *learned = <Learned *>block
    learned.servers = <LearnedServer *>(<uint8_t *>block + <uint32_t>LEARNED_HEAD_BYTES)
    learned.tags = <uint16_t *>(learned.servers + slots)
    learned.mask = slots - 1
    return learned


# The server's entry, a fresh one where it had none; NULL where there is no room.
cdef LearnedServer *entry_of(Learned *learned, const uint8_t *address,
                             uint16_t port) noexcept nogil:
    cdef uint64_t hash = learned_hash(address, port)
    cdef LearnedServer *server
    cdef uint32_t probe, at
    for probe in range(LEARNED_PROBES):
        at = (learned_slot(hash) + probe) & learned.mask
        server = &learned.servers[at]
        if tag_claim(&learned.tags[at], learned_tag_of(hash)):
            memcpy(server.address, address, 16)
            server.port = port
            word_store(&server.word, 0)
            entered_store(&server.entered)
            return server
        if learned_is(server, address, port):
            return server
    return NULL


cdef LearnedNews learned_note(Learned *learned, const Segment *synack, bint asked_wscale,
                              bint asked_sack, bint asked_timestamps, bint asked_ecn,
                              uint32_t epoch, uint32_t now_s) noexcept nogil:
    cdef LearnedServer *server = entry_of(learned, synack.source, synack.sport)
    cdef uint64_t former, word
    if server == NULL:
        return LEARNED_NO_ROOM
    former = learned_load(&server.word)
    word = word_of(synack, asked_wscale, asked_sack, asked_timestamps, epoch, former)
    word |= ecn_of(synack, asked_ecn, epoch, former)
    # Before the word, so that who sees the word sees a time of it or of a later one.
    noted_store(&server.noted_s, now_s)
    word_store(&server.word, word)
    if (word ^ former) & ((1u << LEARNED_ECN_ABSENCE_AT) - 1) != 0:
        return LEARNED_NEWS
    return LEARNED_SAME


cdef bint learned_restore(Learned *learned, const LearnedServer *former) noexcept nogil:
    cdef LearnedServer *server = entry_of(learned, former.address, former.port)
    if server == NULL:
        return False
    noted_store(&server.noted_s, former.noted_s)
    word_store(&server.word, former.word)
    return True


cdef bint learned_look(const Learned *learned, uint32_t slot, LearnedServer *seen) noexcept nogil:
    cdef const LearnedServer *server = &learned.servers[slot]
    if not learned_entered(&server.entered):
        return False
    seen.word = word_acquire(&server.word)
    seen.noted_s = noted_load(&server.noted_s)
    memcpy(seen.address, server.address, 16)
    seen.port = server.port
    seen.entered = True
    return seen.word != 0       # entered this moment, and not written yet


# What was not asked for stays what it was; of a new server, what most can do.
cdef uint64_t word_of(const Segment *synack, bint asked_wscale, bint asked_sack,
                      bint asked_timestamps, uint32_t epoch, uint64_t former) noexcept nogil:
    cdef uint64_t mss = synack.options.mss
    cdef uint64_t wscale = 7
    cdef uint64_t sack = 1
    cdef uint64_t timestamps = 1
    cdef uint64_t absence = former >> LEARNED_ABSENCE_AT
    if former != 0:
        wscale = learned_wscale(former)
        sack = learned_sack(former)
        timestamps = learned_sent_timestamps(former)
    if mss == 0:
        mss = MSS_DEFAULT_IPV4 if synack.family == 4 else MSS_DEFAULT_IPV6
    if asked_wscale:
        wscale = synack.options.wscale
    if asked_sack:
        sack = synack.options.sack_permitted
    if asked_timestamps:
        timestamps = synack.options.timestamps
        absence = <uint16_t>epoch
    return (mss << LEARNED_MSS_AT | wscale << LEARNED_WSCALE_AT | sack << LEARNED_SACK_AT
            | timestamps << LEARNED_TIMESTAMPS_AT | 1ull << LEARNED_KNOWN_AT
            | absence << LEARNED_ABSENCE_AT)


cdef uint64_t ecn_of(const Segment *synack, bint asked, uint32_t epoch,
                     uint64_t former) noexcept nogil:
    cdef uint64_t ecn = former >> LEARNED_ECN_AT & 1 if former != 0 else 1
    cdef uint64_t absence = <uint8_t>(former >> LEARNED_ECN_ABSENCE_AT)
    if asked:
        ecn = segment_takes_ecn(synack)
        absence = <uint8_t>epoch
    return ecn << LEARNED_ECN_AT | absence << LEARNED_ECN_ABSENCE_AT
