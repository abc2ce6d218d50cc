"""What servers can do, as their SYN-ACKs have said: for later SYN-ACKs in their name.

One table serves all workers.  What is known of a server is one word, read and written whole, so
that no reader ever sees half of two answers; an entry is entered once and stays.  Only a server's
own answer to a proven client enters one, so the table can't be filled from outside.  A server that
finds no place near its own isn't kept; its clients are told what most can do.  When the server said
so stands beside the word, for whoever lists them; no SYN looks there.  Nor does one at the entries,
where no tag is the server's.

    | mss 16 | wscale 4 | SACK 1 | timestamps 1 | known 1 | ECN 1
    | epoch of ECN's absence 8 | epoch of timestamps' absence 16 |

A server without timestamps, or without ECN, is asked again from the next epoch on: its clients are
not offered any, so that no SYN of theirs would.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.segment cimport Segment

cdef enum:
    LEARNED_HEAD_BYTES = 64     # before the servers: a cache line, so that none lies across two
    LEARNED_PROBES = 32         # slots looked at for one server; their tags are a cache line
    LEARNED_MSS_AT = 0          # where the fields of the drawing begin
    LEARNED_WSCALE_AT = 16
    LEARNED_SACK_AT = 20
    LEARNED_TIMESTAMPS_AT = 21
    LEARNED_KNOWN_AT = 22
    LEARNED_ECN_AT = 23
    LEARNED_ECN_ABSENCE_AT = 24
    LEARNED_ABSENCE_AT = 32


cdef struct LearnedServer:
    uint64_t word
    uint8_t address[16]         # as in Flow
    uint32_t noted_s            # since 1970, on a worker's clock: the newest SYN-ACK
    uint16_t port
    uint16_t entered            # 1: the key is valid


cdef enum LearnedNews:
    LEARNED_SAME                # it says what was known
    LEARNED_NEWS
    LEARNED_NO_ROOM


# A tag is set before its entry, and claims it: 0 is a free one's.
cdef struct Learned:
    LearnedServer *servers      # behind this
    uint16_t *tags              # behind the servers
    uint32_t mask               # slots - 1


cdef extern from *:
    """
    static inline uint64_t learned_load(const uint64_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline uint16_t learned_tag(const uint16_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline uint16_t learned_entered(const uint16_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    }
    """
    uint64_t learned_load(const uint64_t *) noexcept nogil
    uint16_t learned_tag(const uint16_t *) noexcept nogil
    uint16_t learned_entered(const uint16_t *) noexcept nogil

# `slots` is a power of two, up to 2^24, which the hash has bits for.  The block is all zero.
cdef uint64_t learned_bytes(uint32_t slots) noexcept nogil
cdef Learned *learned_init(void *block, uint32_t slots) noexcept nogil

# Slot and tag of a server are bits of it.  A product's bit depends on those below it alone, so the
# last byte of an address, which is the highest here, comes down before it is multiplied again.  The
# keys are those of servers that have answered, so that this needs no secret.
cdef inline uint64_t learned_hash(const uint8_t *address, uint16_t port) noexcept nogil:
    cdef uint64_t mixed = load64_raw(address) ^ load64_raw(address + 8) ^ <uint64_t>port << 16
    mixed *= <uint64_t>0x9E3779B97F4A7C15
    return (mixed ^ mixed >> 32) * <uint64_t>0x9E3779B97F4A7C15

cdef inline uint32_t learned_slot(uint64_t hash) noexcept nogil:
    return <uint32_t>(hash >> 40)

cdef inline uint16_t learned_tag_of(uint64_t hash) noexcept nogil:
    return <uint16_t>(hash >> 24) | 1

cdef inline bint learned_is(const LearnedServer *server, const uint8_t *address,
                            uint16_t port) noexcept nogil:
    return (learned_entered(&server.entered) and server.port == port
            and load64_raw(server.address) == load64_raw(address)
            and load64_raw(server.address + 8) == load64_raw(address + 8))

# The word of a server, or 0: nothing is known.  In line, for every SYN asks.
cdef inline uint64_t learned_read(const Learned *learned, const uint8_t *address,
                                  uint16_t port) noexcept nogil:
    cdef uint64_t hash = learned_hash(address, port)
    cdef const LearnedServer *server
    cdef uint32_t probe, at, tag
    for probe in range(LEARNED_PROBES):
        at = (learned_slot(hash) + probe) & learned.mask
        tag = learned_tag(&learned.tags[at])
        if tag == 0:
            return 0
        server = &learned.servers[at]
        if tag == learned_tag_of(hash) and learned_is(server, address, port):
            return learned_load(&server.word)
    return 0

# Take in a SYN-ACK, as far as its SYN had asked.
cdef LearnedNews learned_note(Learned *learned, const Segment *synack, bint asked_wscale,
                              bint asked_sack, bint asked_timestamps, bint asked_ecn,
                              uint32_t epoch, uint32_t now_s) noexcept nogil

# Take in what another table had of a server.  False: there is no room.
cdef bint learned_restore(Learned *learned, const LearnedServer *former) noexcept nogil

# What stands in a slot, 0..mask, copied while the workers go on.  False: nothing.
cdef bint learned_look(const Learned *learned, uint32_t slot, LearnedServer *seen) noexcept nogil

cdef inline uint16_t learned_mss(uint64_t word) noexcept nogil:
    return <uint16_t>(word >> LEARNED_MSS_AT)

cdef inline uint8_t learned_wscale(uint64_t word) noexcept nogil:
    return <uint8_t>(word >> LEARNED_WSCALE_AT & 15)

cdef inline bint learned_sack(uint64_t word) noexcept nogil:
    return <bint>(word >> LEARNED_SACK_AT & 1)

# Whether it has sent them; and whether they are to be offered in its name.
cdef inline bint learned_sent_timestamps(uint64_t word) noexcept nogil:
    return <bint>(word >> LEARNED_TIMESTAMPS_AT & 1)

cdef inline bint learned_timestamps(uint64_t word, uint32_t epoch) noexcept nogil:
    return learned_sent_timestamps(word) or (
        <uint16_t>(word >> LEARNED_ABSENCE_AT) != <uint16_t>epoch)

cdef inline bint learned_ecn(uint64_t word, uint32_t epoch) noexcept nogil:
    return <bint>(word >> LEARNED_ECN_AT & 1) or (
        <uint8_t>(word >> LEARNED_ECN_ABSENCE_AT) != <uint8_t>epoch)
