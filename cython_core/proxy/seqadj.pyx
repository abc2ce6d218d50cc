from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport CONN_STRIP_SACK, CONN_TIMESTAMPS
from cython_core.wire.byteorder cimport load32, store16, store32
from cython_core.wire.checksum cimport checksum_apply, checksum_delta16, checksum_delta32
from cython_core.wire.options cimport (
    TCP_OPTION_SACK, TCP_OPTION_TIMESTAMPS, options_seek, options_strip,
)
from cython_core.wire.segment cimport TCP_ACK, TCP_BYTES, TCP_RST

cdef enum:
    TIMESTAMPS_BYTES = 10       # RFC 7323 §3.2: kind, length, TSval, TSecr
    TSVAL_AT = 2                # from the option's kind
    TSECR_AT = 6
    SACK_EDGES_AT = 2           # RFC 2018 §3


cdef void seqadj_to_client(Segment *segment, const Connection *conn) noexcept nogil:
    cdef uint8_t *l4 = segment.frame + segment.l4
    cdef uint64_t delta = replace32(l4, 4, segment.seq, segment.seq + conn.seq_offset)
    delta += replace_window(l4, segment, conn.scales_server)
    if segment.options.timestamps and conn.flags & CONN_TIMESTAMPS:
        delta += replace_timestamp(l4, segment, TSVAL_AT, segment.options.tsval, -conn.ts_offset)
    if conn.flags & CONN_STRIP_SACK and segment.options.sack_blocks:
        delta += strip_sack(l4, segment)
    checksum_apply(l4 + 16, delta)


cdef void seqadj_to_server(Segment *segment, const Connection *conn) noexcept nogil:
    cdef uint8_t *l4 = segment.frame + segment.l4
    cdef uint64_t delta = replace_window(l4, segment, conn.scales_client)
    if segment.flags & TCP_ACK:
        delta += replace32(l4, 8, segment.ack, segment.ack - conn.seq_offset)
    if segment.options.timestamps and conn.flags & CONN_TIMESTAMPS and echoes(segment):
        delta += replace_timestamp(l4, segment, TSECR_AT, segment.options.tsecr, conn.ts_offset)
    if conn.flags & CONN_STRIP_SACK and segment.options.sack_blocks:
        delta += strip_sack(l4, segment)
    elif segment.options.sack_blocks:
        delta += replace_each(l4, segment, TCP_OPTION_SACK, SACK_EDGES_AT, 4, -conn.seq_offset)
    checksum_apply(l4 + 16, delta)


cdef uint64_t strip_sack(uint8_t *l4, const Segment *segment) noexcept nogil:
    return options_strip(l4 + TCP_BYTES, segment.payload - segment.l4 - TCP_BYTES,
                         TCP_OPTION_SACK)


# TSecr is valid only with ACK set, and a RST may carry a zero instead: RFC 7323 §3.2.
cdef inline bint echoes(const Segment *segment) noexcept nogil:
    return segment.flags & TCP_ACK and not (segment.flags & TCP_RST
                                            and segment.options.tsecr == 0)


# Store `new` at an offset of the TCP header; what that adds to its sum.
cdef inline uint64_t replace32(uint8_t *l4, uint32_t at, uint32_t old,
                               uint32_t new) noexcept nogil:
    store32(l4 + at, new)
    return checksum_delta32(old, new, at & 1)


# TSval or TSecr of the one timestamp option that all but odd senders write, or of each.
cdef inline uint64_t replace_timestamp(uint8_t *l4, const Segment *segment, uint32_t which_at,
                                       uint32_t old, uint32_t change) noexcept nogil:
    if segment.options.repeated:
        return replace_each(l4, segment, TCP_OPTION_TIMESTAMPS, which_at, TIMESTAMPS_BYTES,
                            change)
    return replace32(l4, TCP_BYTES + segment.options.tsval_at - TSVAL_AT + which_at, old,
                     old + change)


# Add `change` to words of every option of `kind`: from its byte `first` on, each `step` bytes.
cdef uint64_t replace_each(uint8_t *l4, const Segment *segment, uint8_t kind, uint32_t first,
                           uint32_t step, uint32_t change) noexcept nogil:
    cdef const uint8_t *list = l4 + TCP_BYTES
    cdef uint32_t length = segment.payload - segment.l4 - TCP_BYTES
    cdef uint32_t option = options_seek(list, length, 0, kind)
    cdef uint64_t delta = 0
    cdef uint32_t at, end, word
    while option < length:
        at = option + first
        end = option + list[option + 1]
        while at < end:
            word = load32(list + at)
            delta += replace32(l4, TCP_BYTES + at, word, word + change)
            at += step
        option = options_seek(list, length, end, kind)
    return delta


# From the sender's scale (high nibble) to what the receiver takes it for (low nibble).
cdef inline uint64_t replace_window(uint8_t *l4, const Segment *segment,
                                    uint8_t scales) noexcept nogil:
    cdef uint32_t real = scales >> 4
    cdef uint32_t taken = scales & 15
    cdef uint32_t window
    if real == taken or segment.window == 0:
        return 0
    window = (<uint32_t>segment.window << real) >> taken
    if window > 0xFFFF:
        window = 0xFFFF
    elif window == 0:
        window = 1
    store16(l4 + 14, <uint16_t>window)
    return checksum_delta16(segment.window, <uint16_t>window)
