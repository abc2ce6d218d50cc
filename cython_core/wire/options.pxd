"""TCP options: one walker for every use, and one writer.

Reading list: RFC 9293 §3.1 (kinds 0-2), RFC 7323 §2-3 (window scale, timestamps), RFC 2018
(SACK).  A list is well formed when every option but END and NOP has a length >= 2 that ends
inside the header; a known kind with a wrong length makes the list malformed, too.
Duplicates: the last wins.  Window scale > 14 reads as 14 (RFC 7323 §2.3).
Unknown kinds (TFO, MPTCP, MD5, AO) are stepped over.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from cython_core.wire.checksum cimport checksum_store32

cdef enum:
    TCP_OPTION_END = 0
    TCP_OPTION_NOP = 1
    TCP_OPTION_MSS = 2
    TCP_OPTION_WSCALE = 3
    TCP_OPTION_SACK_PERMITTED = 4
    TCP_OPTION_SACK = 5
    TCP_OPTION_TIMESTAMPS = 8
    WSCALE_MAX = 14         # RFC 7323 §2.3
    WSCALE_ABSENT = 15      # no window scale option; scale 0 is not 'absent'
    OPTIONS_BYTES_MAX = 40  # RFC 9293 §3.1: data offset is 4 bits of 32-bit words

# Options as the stacks of today align them: one word each, timestamps three.
cdef enum:
    WORD_TIMESTAMPS = 0x0101080A        # NOP, NOP, timestamps' head
    WORD_SACK_TIMESTAMPS = 0x0402080A   # SACK-permitted, timestamps' head
    WORD_SACK_PERMITTED = 0x01010402    # NOP, NOP, SACK-permitted
    WORD_WSCALE = 0x010303              # NOP, window scale's head: the upper 3 bytes
    WORD_MSS = 0x0204                   # MSS' head: the upper 2 bytes


cdef struct TcpOptions:
    uint16_t mss            # bytes; 0 where the option is absent
    uint8_t wscale          # shift.cnt, or WSCALE_ABSENT
    bint sack_permitted
    bint timestamps         # the option is present; tsval and tsecr are valid
    uint32_t tsval
    uint32_t tsecr
    uint8_t tsval_at        # offset of TSval from the option list's first byte; 0 where absent
    uint8_t sack_at         # offset of the first SACK block, likewise; 0 where absent
    uint8_t sack_blocks     # 0..4
    bint repeated           # timestamps or SACK came more than once; the fields tell the last


# False where the list is malformed; `options` then holds nothing to rely on.
cdef bint options_parse(const uint8_t *list, uint32_t length, TcpOptions *options) noexcept nogil


# The offset of the next option of `kind` at or behind `at`, or `length` where there is none.
# The list is well formed.
cdef uint32_t options_seek(const uint8_t *list, uint32_t length, uint32_t at,
                           uint8_t kind) noexcept nogil

# Turn every option of `kind` into NOPs.  Returns what that adds to the checksum's sum; the list
# is well formed, and begins at an even offset of its header.
cdef uint64_t options_strip(uint8_t *list, uint32_t length, uint8_t kind) noexcept nogil

# Write mss, SACK-permitted, timestamps and wscale, as far as `options` has them, padded to
# a multiple of 4 by NOPs in front; the order and packing is Linux's (tcp_options_write), so
# that the list is never longer than a client's with the same options.  Returns its length, and
# adds what was written to the checksum's `sum`.
cdef inline uint32_t options_write(uint8_t *list, const TcpOptions *options,
                                   uint64_t *sum) noexcept nogil:
    cdef uint32_t at = 0
    if options.mss != 0:
        sum[0] += checksum_store32(list, WORD_MSS << 16 | options.mss)
        at = 4
    if options.timestamps:
        sum[0] += checksum_store32(
            list + at, WORD_SACK_TIMESTAMPS if options.sack_permitted else WORD_TIMESTAMPS)
        sum[0] += checksum_store32(list + at + 4, options.tsval)
        sum[0] += checksum_store32(list + at + 8, options.tsecr)
        at += 12
    elif options.sack_permitted:
        sum[0] += checksum_store32(list + at, WORD_SACK_PERMITTED)
        at += 4
    if options.wscale != WSCALE_ABSENT:
        sum[0] += checksum_store32(list + at, WORD_WSCALE << 8 | options.wscale)
        at += 4
    return at
