from libc.stdint cimport int32_t
from libc.string cimport memcpy, memset

from cython_core._testing_layers cimport (
    Layers, layers_of, layers_seal, layers_write, quote_write,
)
from cython_core.wire.byteorder cimport store16, store32
from cython_core.wire.segment cimport (
    FRAME_BYTES_MIN, TCP_ACK, TCP_CWR, TCP_ECE, TCP_FIN, TCP_SYN,
)

cdef enum:
    PATCHES_MAX = 4
    RAW = 15                    # of the nibbles that choose a number: four bytes say it
    ADVANCE = 0x20              # of a segment's last byte: its end goes on behind it
    OLD_TSVAL = 0x40

# How far a number is from the one that its end would say.
cdef int32_t[RAW] SKEWS = [
    0, 1, -1, 100, -100, 1448, -1448, 8191, 65535, -65536, 1 << 20, -(1 << 20), 1 << 30,
    -(1 << 30), (-1 << 31)]
cdef uint16_t[8] PAYLOADS = [0, 1, 7, 64, 100, 536, 1400, 1460]
cdef uint16_t[4] WINDOWS = [65535, 0, 512, 29200]


cdef void talks_begin(Talk *talks) noexcept nogil:
    cdef uint32_t at
    memset(talks, 0, TALKS * sizeof(Talk))
    for at in range(TALKS):
        talks[at].family = 6 if at & 1 else 4
        talks[at].tags = <uint8_t>(at % 3)
        talks[at].client_port = <uint16_t>(CLIENT_PORT + at)
        talks[at].server_port = 80 if at & 2 else 81
        # Some are near their wrap.
        talks[at].client.isn = <uint32_t>0xFFFFFF00 + at * 0x40000000
        talks[at].server.isn = <uint32_t>0x7FFFFF00 + at * 0x20000000
        talks[at].client.tsval = <uint32_t>0xFFFFFFF0


cdef void talks_hear(Talk *talks, const Segment *segment, bint to_server) noexcept nogil:
    cdef uint16_t client_port = segment.sport if to_server else segment.dport
    cdef Talk *talk = &talks[client_port & (TALKS - 1)]
    if segment.flags & (TCP_SYN | TCP_ACK) == TCP_SYN | TCP_ACK and not to_server:
        talk.proxy.isn = segment.seq
        talk.proxy.tsval = segment.options.tsval
        talk.client.sent = talk.server.sent = 0


# One of SKEWS from `base`, or whatever the tape says.
cdef uint32_t number(Tape *tape, uint8_t nibble, uint32_t base) noexcept nogil:
    if nibble == RAW:
        return tape_word(tape)
    return base + <uint32_t>SKEWS[nibble]


# A list of options: those whose bits are set, in this order or with NOPs before each.
cdef uint32_t options_say(Tape *tape, uint8_t which, uint32_t tsval, uint32_t tsecr,
                          uint32_t sack_edge, uint8_t *list) noexcept nogil:
    cdef uint32_t at = 0
    if which & 0x01:
        store32(list + at, 0x02040000 | tape_half(tape))
        at += 4
    if which & 0x02:
        store32(list + at, 0x01030300 | tape_byte(tape))
        at += 4
    if which & 0x04:
        store32(list + at, 0x01010402)
        at += 4
    if which & 0x08:
        store32(list + at, 0x0101080A)
        store32(list + at + 4, tsval)
        store32(list + at + 8, tsecr)
        at += 12
    if which & 0x10 and at <= 28:
        store32(list + at, 0x0101050A)
        store32(list + at + 4, sack_edge)
        store32(list + at + 8, sack_edge + 100)
        at += 12
    if which & 0x20 and at <= 36:
        store32(list + at, 0x08000000 | <uint32_t>tape_half(tape) << 8 | tape_byte(tape))
        at += 4
    return at


# Ports, numbers, options and payload behind the layers below.  Returns the frame's length.
cdef uint16_t tcp_say(const Talk *talk, bint from_client, uint8_t flags, uint32_t seq, uint32_t ack,
                      uint16_t window, const uint8_t *list, uint32_t list_bytes,
                      uint32_t payload_bytes, uint8_t *frame) noexcept nogil:
    cdef uint32_t l4_bytes = 20 + list_bytes + payload_bytes
    cdef Layers layers = layers_write(talk, from_client, 6, l4_bytes, frame)
    cdef uint8_t *tcp = frame + layers.l4
    store16(tcp, talk.client_port if from_client else talk.server_port)
    store16(tcp + 2, talk.server_port if from_client else talk.client_port)
    store32(tcp + 4, seq)
    store32(tcp + 8, ack)
    store32(tcp + 12, (20 + list_bytes) // 4 << 28 | <uint32_t>flags << 16 | window)
    store32(tcp + 16, 0)
    memcpy(tcp + 20, list, list_bytes)
    memset(tcp + 20 + list_bytes, 0x5A, payload_bytes)
    layers_seal(&layers, frame)
    return <uint16_t>max(layers.end, <uint32_t>FRAME_BYTES_MIN)


cdef uint16_t talk_syn(Talk *talk, Tape *tape, uint8_t *frame) noexcept nogil:
    cdef uint8_t which = tape_byte(tape)
    cdef uint8_t flags = TCP_SYN | TCP_ECE | TCP_CWR if which & 0x40 else TCP_SYN
    cdef uint8_t[40] list
    cdef uint32_t list_bytes
    if which & 0x80:
        talk.client.isn = talk.client.isn * 5 + 1
    list_bytes = options_say(tape, which & 0x2F, talk.client.tsval, 0, 0, list)
    return tcp_say(talk, True, flags, talk.client.isn, 0, 64240, list, list_bytes, 0, frame)


cdef uint16_t talk_synack(Talk *talk, Tape *tape, uint8_t *frame) noexcept nogil:
    cdef uint8_t which = tape_byte(tape)
    cdef uint8_t skew = tape_byte(tape)
    cdef uint8_t[40] list
    cdef uint32_t list_bytes = options_say(
        tape, which & 0x2F, talk.server.tsval, talk.client.tsval, 0, list)
    if which & 0x80:
        talk.server.isn = talk.server.isn * 5 + 1
    return tcp_say(talk, False, TCP_SYN | TCP_ACK | (TCP_ECE if which & 0x40 else 0),
                   talk.server.isn, number(tape, skew & 15, talk.client.isn + 1), 28960, list,
                   list_bytes, 0, frame)


cdef uint16_t talk_segment(Talk *talk, bint from_client, Tape *tape, uint8_t *frame) noexcept nogil:
    cdef End *own = &talk.client if from_client else &talk.server
    cdef const End *other = &talk.proxy if from_client else &talk.client
    cdef uint32_t heard = talk.server.sent if from_client else talk.client.sent
    cdef uint8_t flags = tape_byte(tape)
    cdef uint8_t skews = tape_byte(tape)
    cdef uint8_t which = tape_byte(tape)
    cdef uint8_t shape = tape_byte(tape)
    cdef uint32_t payload_bytes = PAYLOADS[shape & 7]
    cdef uint32_t seq = number(tape, skews & 15, own.isn + 1 + own.sent)
    cdef uint32_t ack = number(tape, skews >> 4, other.isn + 1 + heard)
    cdef uint8_t[40] list
    cdef uint32_t list_bytes
    if not shape & OLD_TSVAL:
        own.tsval += 1
    list_bytes = options_say(tape, which & 0x3F, own.tsval, other.tsval, ack + 500, list)
    if shape & ADVANCE:
        own.sent += payload_bytes + (flags & TCP_FIN)
    return tcp_say(talk, from_client, flags, seq, ack, WINDOWS[shape >> 3 & 3], list, list_bytes,
                   payload_bytes, frame)


# It quotes the first 28 bytes of TCP or fewer.
cdef uint16_t talk_error(Talk *talk, bint from_client, Tape *tape, uint8_t *frame) noexcept nogil:
    cdef uint8_t kind = tape_byte(tape)
    cdef uint8_t shape = tape_byte(tape)
    cdef uint32_t seq = talk.proxy.isn if from_client else talk.client.isn
    seq = number(tape, shape & 15, seq)
    return quote_write(talk, from_client, kind, tape_half(tape), seq, 8 + (shape >> 4) * 2, frame)


cdef uint16_t talk_mangle(Tape *tape, uint8_t *frame, uint16_t frame_bytes) noexcept nogil:
    cdef uint8_t how = tape_byte(tape)
    cdef Layers layers = layers_of(frame)
    cdef uint32_t _patch, at
    for _patch in range(how & (PATCHES_MAX - 1)):
        at = tape_byte(tape)
        frame[at % frame_bytes] ^= tape_byte(tape)
    if how & 0x40:
        frame_bytes = <uint16_t>(tape_byte(tape) % frame_bytes)
    elif how & 0x80:
        layers_seal(&layers, frame)
    return frame_bytes
