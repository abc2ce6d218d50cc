"""Client segments that may have overtaken the ACK of their handshake.

A client's data may come before the ACK that proves it, which is lost or late.  Nothing tells such a
segment from one of a connection that is older than the proxy, so it passes.  Its server knows of no
connection and resets it, with the SEQ that the client expects (RFC 9293 §3.10.7.1): a connection
would end that is about to be.  So what may have overtaken is remembered, and a RST that answers it
waits until the client's own retransmissions must have proven it.  One whose connection is really
gone asks again, and is reset then.

`digest` is the flow's hash, under a secret; `ack` the segment's, which its RST has for SEQ.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    OVERTAKEN_BITS = 14
    OVERTAKEN_NOTES = 1 << OVERTAKEN_BITS       # 8 bytes each; a newer one displaces an older one
    # Four retransmissions from Linux's least timeout on, 200 ms doubled each time (RFC 6298 §5.5).
    OVERTAKEN_WAIT_MS = 3000
    OVERTAKEN_FORGET_MS = 120 * 1000            # longer than any sender waits between two


# Each note: 32 bits of who, 32 bits of when it was first met, in ms.
cdef struct Overtaken:
    uint64_t notes[OVERTAKEN_NOTES]


cdef inline uint64_t overtaken_hash(uint64_t digest, uint32_t ack) noexcept nogil:
    return (digest ^ ack) * <uint64_t>0x9E3779B97F4A7C15


cdef inline uint64_t *overtaken_place(const Overtaken *overtaken, uint64_t hash) noexcept nogil:
    return <uint64_t *>&overtaken.notes[hash >> (64 - OVERTAKEN_BITS)]


cdef inline bint is_note_of(uint64_t note, uint64_t hash, uint64_t now_ms,
                            uint32_t lifetime_ms) noexcept nogil:
    return (<uint32_t>(note >> 32) == <uint32_t>hash
            and <uint32_t>now_ms - <uint32_t>note < lifetime_ms)


cdef inline void overtaken_note(Overtaken *overtaken, uint64_t digest, uint32_t ack,
                                uint64_t now_ms) noexcept nogil:
    cdef uint64_t hash = overtaken_hash(digest, ack)
    cdef uint64_t *note = overtaken_place(overtaken, hash)
    if not is_note_of(note[0], hash, now_ms, OVERTAKEN_FORGET_MS):
        note[0] = hash << 32 | <uint32_t>now_ms


# Whether it is too early for a RST to what has acknowledged `ack`.
cdef inline bint overtaken_waits(const Overtaken *overtaken, uint64_t digest, uint32_t ack,
                                 uint64_t now_ms) noexcept nogil:
    cdef uint64_t hash = overtaken_hash(digest, ack)
    return is_note_of(overtaken_place(overtaken, hash)[0], hash, now_ms, OVERTAKEN_WAIT_MS)
