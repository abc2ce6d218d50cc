"""TCP options: the walk over a list, and the packing of ours.

Reading list: RFC 9293 §3.1-3.2 (list, MSS), RFC 7323 §2.2 (window scale), §3.2 (timestamps),
RFC 2018 §2-3 (SACK-permitted, SACK).
"""

from libc.stdint cimport uint8_t, uint32_t
from cython_core.wire.byteorder cimport load16, load32, store16, store32

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


cdef inline bint options_parse_sack(uint32_t at, uint32_t length,
                                    TcpOptions *options) noexcept nogil:
    cdef uint32_t blocks_bytes = length - SACK_HEAD_BYTES
    if blocks_bytes == 0 or blocks_bytes % SACK_BLOCK_BYTES != 0:
        return False
    options.sack_at = <uint8_t>(at + SACK_HEAD_BYTES)
    options.sack_blocks = <uint8_t>(blocks_bytes // SACK_BLOCK_BYTES)
    return True


# One option of `length` bytes at list[at]: its head and its end are known to be inside.
cdef inline bint options_parse_one(const uint8_t *list, uint32_t at, uint32_t length,
                                   TcpOptions *options) noexcept nogil:
    cdef uint8_t kind = list[at]
    if kind == TCP_OPTION_MSS:
        if length != MSS_BYTES:
            return False
        options.mss = load16(list + at + 2)
        return True
    if kind == TCP_OPTION_WSCALE:
        if length != WSCALE_BYTES:
            return False
        options.wscale = list[at + 2] if list[at + 2] <= WSCALE_MAX else WSCALE_MAX
        return True
    if kind == TCP_OPTION_SACK_PERMITTED:
        options.sack_permitted = True
        return length == SACK_PERMITTED_BYTES
    if kind == TCP_OPTION_TIMESTAMPS:
        if length != TIMESTAMPS_BYTES:
            return False
        options.timestamps = True
        options.tsval_at = <uint8_t>(at + 2)
        options.tsval = load32(list + at + 2)
        options.tsecr = load32(list + at + 6)
        return True
    if kind == TCP_OPTION_SACK:
        return options_parse_sack(at, length, options)
    return True


cdef bint options_parse(const uint8_t *list, uint32_t length, TcpOptions *options) noexcept nogil:
    cdef uint32_t at = 0
    cdef uint32_t option_bytes
    options_clear(options)
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
        if not options_parse_one(list, at, option_bytes, options):
            return False
        at += option_bytes
    return True


# Two bytes in front of an option that is two short of a multiple of four: SACK-permitted where
# it is to be sent and has no word of its own, else two NOPs.
cdef inline void options_write_pair(uint8_t *list, bint sack_permitted) noexcept nogil:
    list[0] = TCP_OPTION_SACK_PERMITTED if sack_permitted else TCP_OPTION_NOP
    list[1] = SACK_PERMITTED_BYTES if sack_permitted else TCP_OPTION_NOP


cdef uint32_t options_write(uint8_t *list, const TcpOptions *options) noexcept nogil:
    cdef uint32_t at = 0
    if options.mss != 0:
        list[0] = TCP_OPTION_MSS
        list[1] = MSS_BYTES
        store16(list + 2, options.mss)
        at = 4
    if options.timestamps:
        options_write_pair(list + at, options.sack_permitted)
        list[at + 2] = TCP_OPTION_TIMESTAMPS
        list[at + 3] = TIMESTAMPS_BYTES
        store32(list + at + 4, options.tsval)
        store32(list + at + 8, options.tsecr)
        at += 12
    elif options.sack_permitted:
        options_write_pair(list + at, False)
        options_write_pair(list + at + 2, True)
        at += 4
    if options.wscale != WSCALE_ABSENT:
        list[at] = TCP_OPTION_NOP
        list[at + 1] = TCP_OPTION_WSCALE
        list[at + 2] = WSCALE_BYTES
        list[at + 3] = options.wscale
        at += 4
    return at
