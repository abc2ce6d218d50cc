from libc.stdint cimport uint8_t, uint16_t, uint64_t
from libc.string cimport memmove

from cython_core.proxy.conntable cimport CONN_SUPPLIED
from cython_core.wire.byteorder cimport load16, store16, store32
from cython_core.wire.checksum cimport (
    checksum_add, checksum_apply, checksum_delta16, checksum_delta32, checksum_fold,
)
from cython_core.wire.icmp cimport icmp_mtu, icmp_rewrite_mtu
from cython_core.wire.options cimport (
    OPTIONS_BYTES_MAX, TCP_OPTION_TIMESTAMPS, WORD_TIMESTAMPS, options_strip,
)
from cython_core.wire.segment cimport TCP_BYTES, TCP_RST
from cython_core.wire.seq cimport seq_max

cdef enum:
    SACK_BLOCKS_MAX = 4         # 34 bytes and two NOPs: RFC 2018 §3
    SACK_BLOCK_BYTES = 8
    IPV4_BYTES = 20             # headers without options
    IPV6_BYTES = 40
    IPV4_MTU_MIN = 68           # RFC 791 §3.2
    IPV6_MTU_MIN = 1280         # RFC 8200 §5
    SUPPLY_WORDS_AT = 12        # SUPPLY_BYTES in the data offset's place: | 3 words 4 | 12 |


cdef void supply_init(SupplyPool *pool, uint32_t capacity) noexcept nogil:
    pool.capacity = capacity
    pool.used = 0
    pool.fresh = 0
    pool.free_head = SUPPLY_NONE


cdef uint32_t supply_take(SupplyPool *pool, uint32_t tsval_base, uint32_t ts_recent,
                          uint16_t mss) noexcept nogil:
    cdef uint32_t index = pool.free_head
    if index != SUPPLY_NONE:
        pool.free_head = pool.supplies[index].next
    elif pool.fresh < pool.capacity:
        index = pool.fresh
        pool.fresh += 1
    else:
        return SUPPLY_NONE
    pool.used += 1
    pool.supplies[index].tsval_base = tsval_base
    pool.supplies[index].ts_recent = ts_recent
    pool.supplies[index].mss = mss
    return index


cdef void supply_release(SupplyPool *pool, Connection *conn) noexcept nogil:
    if not conn.flags & CONN_SUPPLIED:
        return
    conn.flags &= <uint8_t>~CONN_SUPPLIED
    pool.supplies[conn.ts_offset].next = pool.free_head
    pool.free_head = conn.ts_offset
    pool.used -= 1


cdef void supply_to_server(SupplyPool *pool, Segment *segment,
                           const Connection *conn) noexcept nogil:
    cdef Supply *supply = &pool.supplies[conn.ts_offset]
    cdef uint8_t *l4 = segment.frame + segment.l4
    if not segment.options.timestamps:
        return
    supply.ts_recent = seq_max(supply.ts_recent, segment.options.tsval)
    checksum_apply(l4 + 16, options_strip(l4 + TCP_BYTES, segment.payload - segment.l4 - TCP_BYTES,
                                          TCP_OPTION_TIMESTAMPS))


cdef void supply_too_big(SupplyPool *pool, Segment *error, const Connection *conn) noexcept nogil:
    cdef Supply *supply = &pool.supplies[conn.ts_offset]
    cdef uint32_t headers = (IPV4_BYTES if error.family == 4 else IPV6_BYTES) + TCP_BYTES
    cdef uint32_t least = IPV4_MTU_MIN if error.family == 4 else IPV6_MTU_MIN
    cdef uint32_t mtu = icmp_mtu(error)
    if mtu < least:
        return
    if mtu - headers < supply.mss:
        supply.mss = <uint16_t>(mtu - headers)
    if mtu - SUPPLY_BYTES >= least:
        icmp_rewrite_mtu(error, mtu - SUPPLY_BYTES)


cdef void supply_to_client(const SupplyPool *pool, Segment *segment, const Connection *conn,
                           uint32_t now_ms) noexcept nogil:
    cdef const Supply *supply = &pool.supplies[conn.ts_offset]
    cdef uint8_t *l4 = segment.frame + segment.l4
    cdef uint8_t *options = l4 + TCP_BYTES
    cdef uint32_t tsval = supply.tsval_base + now_ms
    cdef uint16_t offset_flags
    cdef uint64_t delta
    if segment.options.sack_blocks == SACK_BLOCKS_MAX and not segment.flags & TCP_RST:
        shed_block(segment)
    offset_flags = load16(l4 + 12)
    if (segment.flags & TCP_RST or segment.frame_bytes + SUPPLY_BYTES > segment.room_bytes
            or segment.l4_bytes + SUPPLY_BYTES > TCP_BYTES + supply.mss
            or segment.payload - segment.l4 + SUPPLY_BYTES > TCP_BYTES + OPTIONS_BYTES_MAX):
        return
    memmove(options + SUPPLY_BYTES, options, segment.frame + segment.frame_bytes - options)
    store32(options, WORD_TIMESTAMPS)
    store32(options + 4, tsval)
    store32(options + 8, supply.ts_recent)
    store16(l4 + 12, <uint16_t>(offset_flags + (SUPPLY_BYTES // 4 << SUPPLY_WORDS_AT)))
    delta = checksum_delta16(offset_flags, load16(l4 + 12))
    delta += checksum_delta32(0, WORD_TIMESTAMPS, False)
    delta += checksum_delta32(0, tsval, False)
    delta += checksum_delta32(0, supply.ts_recent, False)
    delta += checksum_delta16(segment.l4_bytes, segment.l4_bytes + SUPPLY_BYTES)
    checksum_apply(l4 + 16, delta)
    lengthen(segment, SUPPLY_BYTES)


# The last of the SACK blocks, out of the frame.
cdef void shed_block(Segment *segment) noexcept nogil:
    cdef uint8_t *l4 = segment.frame + segment.l4
    cdef uint8_t *list = l4 + TCP_BYTES
    cdef uint8_t *block = list + segment.options.sack_at + SACK_BLOCK_BYTES * (SACK_BLOCKS_MAX - 1)
    cdef uint32_t list_bytes = segment.payload - segment.l4 - TCP_BYTES
    cdef uint16_t before = checksum_fold(checksum_add(list, list_bytes, 0))
    cdef uint16_t offset_flags = load16(l4 + 12)
    cdef uint64_t delta
    list[segment.options.sack_at - 1] -= SACK_BLOCK_BYTES
    memmove(block, block + SACK_BLOCK_BYTES,
            segment.frame + segment.frame_bytes - block - SACK_BLOCK_BYTES)
    store16(l4 + 12, <uint16_t>(offset_flags - (SACK_BLOCK_BYTES // 4 << SUPPLY_WORDS_AT)))
    delta = <uint64_t><uint16_t>~before + checksum_fold(
        checksum_add(list, list_bytes - SACK_BLOCK_BYTES, 0))
    delta += checksum_delta16(offset_flags, load16(l4 + 12))
    delta += checksum_delta16(segment.l4_bytes, segment.l4_bytes - SACK_BLOCK_BYTES)
    checksum_apply(l4 + 16, delta)
    segment.options.sack_blocks -= 1
    segment.payload -= SACK_BLOCK_BYTES
    segment.l4_bytes -= SACK_BLOCK_BYTES
    lengthen(segment, -SACK_BLOCK_BYTES)


# The IP header's length, and the frame's.
cdef inline void lengthen(Segment *segment, int by) noexcept nogil:
    cdef uint8_t *ip = segment.frame + segment.l3
    cdef uint32_t length_at = 2 if segment.family == 4 else 4
    cdef uint16_t length = load16(ip + length_at)
    store16(ip + length_at, <uint16_t>(length + by))
    if segment.family == 4:
        checksum_apply(ip + 10, checksum_delta16(length, <uint16_t>(length + by)))
    segment.frame_bytes += by
