from libc.stdint cimport uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy, memset

from cython_core.wire.byteorder cimport load16, load32, store16, store32
from cython_core.wire.checksum cimport checksum_add, checksum_fold, checksum_store
from cython_core.wire.icmp cimport (
    Quote, icmp_is_hard, icmp_mtu, icmp_parse_quote, icmp_rewrite_mtu, icmp_rewrite_seq,
)
from cython_core.wire.options cimport (
    OPTIONS_BYTES_MAX, TCP_OPTION_END, TCP_OPTION_MSS, TCP_OPTION_NOP, TCP_OPTION_SACK,
    TCP_OPTION_SACK_PERMITTED, TCP_OPTION_TIMESTAMPS, TCP_OPTION_WSCALE, WSCALE_ABSENT, WSCALE_MAX,
    TcpOptions, options_parse, options_seek, options_strip, options_write,
)
from cython_core.wire.segment cimport (
    ETHERNET_BYTES, ETHERTYPE_IPV4, ETHERTYPE_IPV6, FAULT_NONE,
    IPV4_BYTES, IPV6_BYTES, KIND_ICMP_ERROR, KIND_MALFORMED, KIND_TCP,
    PROTOCOL_ICMP, PROTOCOL_ICMPV6, TCP_BYTES, Flow, Segment, segment_flow, segment_parse,
    segments_verify,
)

cdef enum:
    FRAME_BYTES_MAX = 2048
    HEADERS_BYTES = ETHERNET_BYTES + IPV6_BYTES


cdef const char *frame_judge(const uint8_t *data, size_t size) noexcept nogil:
    cdef const char *wrong = NULL
    cdef Segment segment
    cdef Quote quote
    cdef Flow flow
    segment.frame = <uint8_t *>data
    segment.frame_bytes = <uint16_t>min(size, <size_t>FRAME_BYTES_MAX)
    segment.room_bytes = segment.frame_bytes
    segment_parse(&segment)
    if segment.kind == KIND_MALFORMED and segment.fault == FAULT_NONE:
        return "a frame is malformed for no fault"
    if segment.kind == KIND_MALFORMED:
        return NULL
    if segment.l4 > segment.frame_bytes or segment.l4 + segment.l4_bytes > segment.frame_bytes:
        return "the transport header is outside the frame"
    if segment.kind == KIND_ICMP_ERROR and not icmp_parse_quote(&segment, &quote):
        return "an ICMP error quotes nothing"
    if segment.kind == KIND_TCP and segment.fault == FAULT_NONE:
        wrong = tcp_judge(&segment)
        segment_flow(&segment, True, &flow)
    return wrong


cdef const char *tcp_judge(Segment *segment) noexcept nogil:
    if segment.l3 + IPV4_BYTES > segment.l4 or segment.l4 + TCP_BYTES > segment.payload:
        return "headers overlap"
    if segment.payload + segment.payload_bytes != segment.l4 + segment.l4_bytes:
        return "the payload doesn't end with the packet"
    if segment.options.sack_at + 8 * segment.options.sack_blocks > OPTIONS_BYTES_MAX:
        return "SACK blocks are outside the options"
    segments_verify(0)(segment, 1)
    return NULL


cdef const char *options_judge(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint32_t length = <uint32_t>min(size, <size_t>OPTIONS_BYTES_MAX)
    cdef TcpOptions parsed, plain
    cdef bint well_formed
    # As one that is shorter than its memory would hide a read behind it.
    data += size - length
    well_formed = options_parse(data, length, &parsed)
    if well_formed != options_read(data, length, &plain):
        return "whether a list is well formed is told in two ways"
    if not well_formed:
        return NULL
    if not is_same(&parsed, &plain) or parsed.sack_at != plain.sack_at:
        return "a list says two things"
    return written_judge(&parsed) if length & 3 else stripped_judge(data, length)


cdef bint is_same(const TcpOptions *a, const TcpOptions *b) noexcept nogil:
    return (a.mss == b.mss and a.wscale == b.wscale and a.sack_permitted == b.sack_permitted
            and a.timestamps == b.timestamps and a.tsval == b.tsval and a.tsecr == b.tsecr
            and a.sack_blocks == b.sack_blocks)


# The walk of RFC 9293 §3.1, option by option.
cdef bint options_read(const uint8_t *list, uint32_t length, TcpOptions *options) noexcept nogil:
    cdef uint32_t at = 0
    memset(options, 0, sizeof(TcpOptions))
    options.wscale = WSCALE_ABSENT
    while at < length and list[at] != TCP_OPTION_END:
        if list[at] == TCP_OPTION_NOP:
            at += 1
            continue
        if at + 1 == length or list[at + 1] < 2 or at + list[at + 1] > length:
            return False
        if not option_read(list, at, options):
            return False
        at += list[at + 1]
    return True


cdef bint option_read(const uint8_t *list, uint32_t at, TcpOptions *options) noexcept nogil:
    cdef uint8_t kind = list[at]
    cdef uint8_t length = list[at + 1]
    if kind == TCP_OPTION_MSS:
        options.mss = load16(list + at + 2) if length == 4 else options.mss
        return length == 4
    if kind == TCP_OPTION_WSCALE:
        options.wscale = min(list[at + 2], <uint8_t>WSCALE_MAX) if length == 3 else options.wscale
        return length == 3
    if kind == TCP_OPTION_SACK_PERMITTED:
        options.sack_permitted = True
        return length == 2
    if kind == TCP_OPTION_TIMESTAMPS and length == 10:
        options.timestamps = True
        options.tsval = load32(list + at + 2)
        options.tsecr = load32(list + at + 6)
    if kind == TCP_OPTION_SACK and length > 2 and length % 8 == 2:
        options.sack_at = <uint8_t>(at + 2)
        options.sack_blocks = length // 8
        return True
    return kind != TCP_OPTION_SACK and (kind != TCP_OPTION_TIMESTAMPS or length == 10)


# What we write says what was asked for.
cdef const char *written_judge(const TcpOptions *wanted) noexcept nogil:
    cdef uint8_t[OPTIONS_BYTES_MAX] list
    cdef uint64_t sum = 0
    cdef uint32_t length = options_write(list, wanted, &sum)
    cdef TcpOptions parsed
    if checksum_fold(sum) % 0xFFFF != checksum_fold(checksum_add(list, length, 0)) % 0xFFFF:
        return "a list that was written has another sum than was told"
    if not options_parse(list, length, &parsed):
        return "a list that was written is malformed"
    parsed.sack_blocks = wanted.sack_blocks
    if not is_same(&parsed, wanted):
        return "a list that was written says something else"
    return NULL


cdef const char *stripped_judge(const uint8_t *data, uint32_t length) noexcept nogil:
    cdef uint8_t[OPTIONS_BYTES_MAX] list
    cdef uint64_t before = checksum_add(data, length, 0)
    cdef TcpOptions parsed
    memcpy(list, data, length)
    before += options_strip(list, length, TCP_OPTION_TIMESTAMPS)
    if checksum_fold(before) % 0xFFFF != checksum_fold(checksum_add(list, length, 0)) % 0xFFFF:
        return "what was stripped changes the sum by something else"
    if not options_parse(list, length, &parsed) or parsed.timestamps:
        return "what was stripped is still there"
    if options_seek(list, length, 0, TCP_OPTION_TIMESTAMPS) != length:
        return "what was stripped is found"
    return NULL


# The first byte says the family, and whether the message's checksum is made right.
cdef const char *quote_judge(const uint8_t *data, size_t size) noexcept nogil:
    cdef uint32_t l4_bytes, headers_bytes
    cdef const char *wrong
    cdef uint8_t *frame
    if size < 9:
        return NULL
    headers_bytes = ETHERNET_BYTES + (IPV4_BYTES if data[0] & 1 else IPV6_BYTES)
    l4_bytes = <uint32_t>min(size - 1, <size_t>(FRAME_BYTES_MAX - HEADERS_BYTES))
    frame = <uint8_t *>malloc(2 * (headers_bytes + l4_bytes))
    headers_write(frame, data[0] & 1, l4_bytes)
    memcpy(frame + headers_bytes, data + 1, l4_bytes)
    # The copy to rewrite is the one that ends with its memory.
    memcpy(frame + headers_bytes + l4_bytes, frame, headers_bytes + l4_bytes)
    wrong = message_judge(frame, frame + headers_bytes + l4_bytes, headers_bytes + l4_bytes)
    free(frame)
    return wrong


cdef void headers_write(uint8_t *frame, bint ipv4, uint32_t l4_bytes) noexcept nogil:
    cdef uint8_t *ip = frame + ETHERNET_BYTES
    memset(frame, 0, HEADERS_BYTES if not ipv4 else ETHERNET_BYTES + IPV4_BYTES)
    if ipv4:
        store16(frame + 12, ETHERTYPE_IPV4)
        store32(ip, 0x45000000 | (IPV4_BYTES + l4_bytes))
        store32(ip + 8, 0x40000000 | PROTOCOL_ICMP << 16)
        store32(ip + 12, 0xC6336401)
        store32(ip + 16, 0x0A000002)
        checksum_store(ip + 10, checksum_add(ip, IPV4_BYTES, 0))
        return
    store16(frame + 12, ETHERTYPE_IPV6)
    store32(ip, 0x60000000)
    store32(ip + 4, l4_bytes << 16 | PROTOCOL_ICMPV6 << 8 | 64)
    ip[8] = ip[24] = 0xFD
    ip[23] = 1
    ip[39] = 2


cdef const char *message_judge(const uint8_t *came, uint8_t *frame,
                               uint32_t frame_bytes) noexcept nogil:
    cdef uint32_t mtu, seq
    cdef Segment segment
    cdef Quote quote
    segment.frame = frame
    segment.frame_bytes = <uint16_t>frame_bytes
    segment.room_bytes = segment.frame_bytes
    if segment_parse(&segment) != KIND_ICMP_ERROR:
        return NULL
    if not icmp_parse_quote(&segment, &quote):
        return "an ICMP error quotes nothing"
    if quote.l3 < segment.l4 + 8 or quote.l4 < quote.l3 + IPV4_BYTES or quote.l4_bytes < 8:
        return "a quote's headers overlap"
    if quote.l4 + quote.l4_bytes > frame_bytes:
        return "a quote ends behind its frame"
    icmp_is_hard(&segment)
    mtu = icmp_mtu(&segment)
    if mtu != 0:
        icmp_rewrite_mtu(&segment, mtu ^ 0x55)
        if icmp_mtu(&segment) != mtu ^ 0x55:
            return "an MTU that was rewritten reads back otherwise"
    seq = quote.seq ^ <uint32_t>0xDEADBEEF
    icmp_rewrite_seq(&segment, &quote, seq)
    if not icmp_parse_quote(&segment, &quote) or quote.seq != seq:
        return "a number that was rewritten reads back otherwise"
    return rewritten_judge(&segment, came, &quote)


# Of the quote, its number and its checksum may have changed.
cdef const char *rewritten_judge(const Segment *segment, const uint8_t *came,
                                 const Quote *quote) noexcept nogil:
    cdef const uint8_t *frame = segment.frame
    cdef uint32_t at = quote.l4 + 8
    if (checksum_fold(checksum_add(frame + segment.l4, segment.l4_bytes, 0)) % 0xFFFF
            != checksum_fold(checksum_add(came + segment.l4, segment.l4_bytes, 0)) % 0xFFFF):
        return "an ICMP error's checksum was mended wrongly"
    if memcmp(frame + segment.l4 + 8, came + segment.l4 + 8, quote.l4 + 4 - segment.l4 - 8) != 0:
        return "something before the quoted number has changed"
    if quote.l4_bytes >= 18:
        if memcmp(frame + at, came + at, 8) != 0:
            return "something before the quoted checksum has changed"
        at += 10
    if memcmp(frame + at, came + at, segment.frame_bytes - at) != 0:
        return "something behind what was rewritten has changed"
    return NULL
