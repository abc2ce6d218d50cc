"""What clients and servers say, told in a few bytes: segments whose numbers make sense, or nearly.

A Tape is what a fuzzer has made up; read beyond its end it says 0.  A Talk is one pair of ports,
with what its two ends have learned of each other from what the proxy sent.  So a byte that says
"the next number" or "one window too far" leads where only 2^32 tries of another number would.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from cython_core.wire.segment cimport Segment

cdef enum:
    TALKS = 8                   # more than the engine's table holds
    CLIENT_PORT = 40000         # of the first; the others' follow
    LOG2_TALKS = 3
    # Ethernet and two tags, IPv6, TCP with all options, and the longest payload.
    TALK_BYTES_MAX = 22 + 40 + 60 + 1460


cdef struct Tape:
    const uint8_t *at
    const uint8_t *end


# One end's numbers, as it means them.
cdef struct End:
    uint32_t isn
    uint32_t sent               # bytes, and a FIN
    uint32_t tsval


cdef struct Talk:
    uint8_t family
    uint8_t tags                # VLAN tags of its frames
    uint16_t client_port
    uint16_t server_port
    End client
    End proxy                   # toward the client: from its SYN-ACK
    End server


cdef inline uint8_t tape_byte(Tape *tape) noexcept nogil:
    cdef const uint8_t *at = tape.at
    if at == tape.end:
        return 0
    tape.at += 1
    return at[0]

cdef inline uint16_t tape_half(Tape *tape) noexcept nogil:
    cdef uint16_t high = tape_byte(tape)
    return <uint16_t>(high << 8 | tape_byte(tape))

cdef inline uint32_t tape_word(Tape *tape) noexcept nogil:
    cdef uint32_t high = tape_half(tape)
    return high << 16 | tape_half(tape)

cdef void talks_begin(Talk *talks) noexcept nogil

# What left the proxy has come to its end.
cdef void talks_hear(Talk *talks, const Segment *segment, bint to_server) noexcept nogil

# Write a frame, and return its length: a SYN, a SYN-ACK, any segment of either end, an ICMP error
# about one of the other end's.
cdef uint16_t talk_syn(Talk *talk, Tape *tape, uint8_t *frame) noexcept nogil
cdef uint16_t talk_synack(Talk *talk, Tape *tape, uint8_t *frame) noexcept nogil
cdef uint16_t talk_segment(Talk *talk, bint from_client, Tape *tape, uint8_t *frame) noexcept nogil
cdef uint16_t talk_error(Talk *talk, bint from_client, Tape *tape, uint8_t *frame) noexcept nogil

# Some bytes of the frame become others, or it is cut; then its checksums may be made right again.
cdef uint16_t talk_mangle(Tape *tape, uint8_t *frame, uint16_t frame_bytes) noexcept nogil
