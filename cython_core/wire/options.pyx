"""TCP options: the walk over a list, and the packing of ours.

Reading list: RFC 9293 §3.1-3.2 (list, MSS), RFC 7323 §2.2 (window scale), §3.2 (timestamps),
RFC 2018 §2-3 (SACK-permitted, SACK).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memset
from cython_core.wire.byteorder cimport load16, load32
from cython_core.wire.checksum cimport checksum_add, checksum_fold

cdef enum:
    MSS_BYTES = 4           # whole options: kind, length, value
    WSCALE_BYTES = 3
    SACK_PERMITTED_BYTES = 2
    TIMESTAMPS_BYTES = 10
    SACK_HEAD_BYTES = 2     # before its blocks
    SACK_BLOCK_BYTES = 8    # two edges


cdef inline void options_clear(TcpOptions *options) noexcept nogil:
    options.mss = 0
    options.wscale = WSCALE_ABSENT
    options.sack_permitted = False
    options.timestamps = False
    options.tsval = 0
    options.tsecr = 0
    options.tsval_at = 0
    options.sack_at = 0
    options.sack_blocks = 0
    options.repeated = False


cdef inline void options_set_wscale(uint8_t shift, TcpOptions *options) noexcept nogil:
    options.wscale = shift if shift <= WSCALE_MAX else WSCALE_MAX


cdef inline void options_set_timestamps(const uint8_t *list, uint32_t tsval_at,
                                        TcpOptions *options) noexcept nogil:
    options.repeated |= options.timestamps
    options.timestamps = True
    options.tsval_at = <uint8_t>tsval_at
    options.tsval = load32(list + tsval_at)
    options.tsecr = load32(list + tsval_at + 4)


# As far as the list is made of the words above, which nearly all are: a step's length is known
# from a compared constant, so that the CPU goes on without waiting to read it.  Returns how far.
cdef inline uint32_t options_parse_words(const uint8_t *list, uint32_t length,
                                         TcpOptions *options) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t word
    while length - at >= 4:
        word = load32(list + at)
        if word == WORD_TIMESTAMPS or word == WORD_SACK_TIMESTAMPS:
            if length - at < 12:
                break
            if word == WORD_SACK_TIMESTAMPS:
                options.sack_permitted = True
            options_set_timestamps(list, at + 4, options)
            at += 12
            continue
        if word >> 16 == WORD_MSS:
            options.mss = <uint16_t>word
        elif word >> 8 == WORD_WSCALE:
            options_set_wscale(<uint8_t>word, options)
        elif word == WORD_SACK_PERMITTED:
            options.sack_permitted = True
        else:
            break
        at += 4
    return at


cdef inline uint32_t options_parse_sack(uint32_t at, uint32_t length,
                                        TcpOptions *options) noexcept nogil:
    cdef uint32_t blocks_bytes = length - SACK_HEAD_BYTES
    if blocks_bytes == 0 or blocks_bytes % SACK_BLOCK_BYTES != 0:
        return 0
    options.repeated |= options.sack_at != 0
    options.sack_at = <uint8_t>(at + SACK_HEAD_BYTES)
    options.sack_blocks = <uint8_t>(blocks_bytes // SACK_BLOCK_BYTES)
    return length


# One option of `length` bytes at list[at]: its head and its end are known to be inside.  Returns
# how far to step, 0 where it is malformed.
cdef inline uint32_t options_parse_one(const uint8_t *list, uint32_t at, uint32_t length,
                                       TcpOptions *options) noexcept nogil:
    cdef uint8_t kind = list[at]
    if kind == TCP_OPTION_MSS:
        if length != MSS_BYTES:
            return 0
        options.mss = load16(list + at + 2)
        return MSS_BYTES
    if kind == TCP_OPTION_WSCALE:
        if length != WSCALE_BYTES:
            return 0
        options_set_wscale(list[at + 2], options)
        return WSCALE_BYTES
    if kind == TCP_OPTION_SACK_PERMITTED:
        if length != SACK_PERMITTED_BYTES:
            return 0
        options.sack_permitted = True
        return SACK_PERMITTED_BYTES
    if kind == TCP_OPTION_TIMESTAMPS:
        if length != TIMESTAMPS_BYTES:
            return 0
        options_set_timestamps(list, at + 2, options)
        return TIMESTAMPS_BYTES
    if kind == TCP_OPTION_SACK:
        return options_parse_sack(at, length, options)
    return length


cdef bint options_parse(const uint8_t *list, uint32_t length, TcpOptions *options) noexcept nogil:
    cdef uint32_t at, option_bytes
    options_clear(options)
    at = options_parse_words(list, length, options)
    while at < length:
        if list[at] == TCP_OPTION_END:
            return True
        if list[at] == TCP_OPTION_NOP:
            at += 1
            continue
        if length - at < 2:
            return False
        option_bytes = list[at + 1]
        if option_bytes < 2 or option_bytes > length - at:
            return False
        option_bytes = options_parse_one(list, at, option_bytes, options)
        if option_bytes == 0:
            return False
        at += option_bytes
    return True


cdef uint32_t options_seek(const uint8_t *list, uint32_t length, uint32_t at,
                           uint8_t kind) noexcept nogil:
    while at < length and list[at] != kind:
        if list[at] == TCP_OPTION_END:
            return length
        at += 1 if list[at] == TCP_OPTION_NOP else list[at + 1]
    return at


# The sum of the whole list, before and after: options may begin at odd offsets.
cdef uint64_t options_strip(uint8_t *list, uint32_t length, uint8_t kind) noexcept nogil:
    cdef uint16_t before = checksum_fold(checksum_add(list, length, 0))
    cdef uint32_t at = options_seek(list, length, 0, kind)
    cdef uint32_t option_bytes
    while at < length:
        option_bytes = list[at + 1]
        memset(list + at, TCP_OPTION_NOP, option_bytes)
        at = options_seek(list, length, at + option_bytes, kind)
    return <uint64_t><uint16_t>~before + checksum_fold(checksum_add(list, length, 0))
