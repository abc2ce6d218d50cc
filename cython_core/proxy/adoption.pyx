from libc.stdint cimport uint8_t

from cython_core.proxy.conntable cimport (
    CONN_SUPPLIED, STATE_DELETED, STATE_FREE, STATE_SYN_SENT, STATE_TIME_WAIT, Connection,
    ConnTable, conntable_entry, conntable_find, conntable_index, conntable_insert,
    conntable_remove, conntable_words,
)
from cython_core.proxy.early cimport early_queue_init
from cython_core.proxy.half_open cimport (
    STAGE_SERVER_AWAITED, HalfOpen, half_open_arm, half_open_index, half_open_take, half_open_wait,
)
from cython_core.proxy.learned cimport LEARNED_HEAD_BYTES, LearnedServer, learned_restore
from cython_core.proxy.pacers cimport PACER_NONE
from cython_core.proxy.pacing cimport pacing_place
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.shard_file cimport shard_file_learned, shard_file_shard
from cython_core.proxy.superseded cimport SUPERSEDED_COOKIES, superseded_keep
from cython_core.proxy.supply cimport SUPPLIES_MAX, SUPPLY_NONE, Supply, supply_take
from cython_core.proxy.synproxy cimport NS_PER_MS
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

cdef enum:
    WINDOW_LOG2_MAX = 30        # RFC 7323 §2.3: 2^16 << 14


cdef void adoption_file(const Heirs *heirs, const ShardFile *former,
                        Adoption *tally) noexcept nogil:
    cdef Shard shard
    cdef uint32_t ended, index
    learned_adopt(heirs.proxy[0].learned, former)
    for index in range(former.shape.shards):
        shard = shard_file_shard(former, index)
        superseded_adopt(heirs, &shard)
        tally.torn += shard.table.writing != 0
    # Where there is too little room, tombstones are those that find none.
    for ended in range(2):
        for index in range(former.shape.shards):
            shard = shard_file_shard(former, index)
            table_adopt(heirs, &shard, ended, tally)


cdef void learned_adopt(Learned *learned, const ShardFile *former) noexcept nogil:
    cdef const LearnedServer *servers = <const LearnedServer *>(
        <const char *>shard_file_learned(former) + <uint32_t>LEARNED_HEAD_BYTES)
    cdef uint32_t slot
    for slot in range(former.shape.servers):
        if servers[slot].entered and servers[slot].word != 0:
            learned_restore(learned, &servers[slot])


# Whose flow a cookie was, its hash doesn't tell.
cdef void superseded_adopt(const Heirs *heirs, const Shard *former) noexcept nogil:
    cdef uint32_t at, heir
    for at in range(SUPERSEDED_COOKIES):
        if former.superseded.cookies[at] != 0:
            for heir in range(heirs.count):
                superseded_keep(heirs.proxy[heir].superseded, former.superseded.cookies[at])


# Those that have ended, or those that have not.
cdef void table_adopt(const Heirs *heirs, const Shard *former, bint ended,
                      Adoption *tally) noexcept nogil:
    cdef const ConnTable *table = former.table
    cdef const Connection *conn
    cdef uint32_t index
    for index in range(min(table.fresh, table.capacity)):
        conn = conntable_entry(table, index)
        if (conn.state == STATE_FREE or index + 1 == table.writing
                or (conn.state >= STATE_TIME_WAIT) != ended):
            continue
        entry_adopt(heirs, former, conn, tally)


cdef void entry_adopt(const Heirs *heirs, const Shard *former, const Connection *conn,
                      Adoption *tally) noexcept nogil:
    cdef const Service *service = snapshot_match(
        heirs.snapshot, conn.flow.server_address, conn.flow.server_port)
    cdef uint64_t[SIPHASH_WORDS] words
    cdef uint64_t digest
    cdef Connection *heir
    cdef Proxy *proxy
    if not is_sound(former, conn):
        tally.unsound += 1
        return
    if service == NULL:
        tally.unserved += 1
        return
    conntable_words(words, 1, &conn.flow)
    digest = siphash_words(words, &heirs.proxy[0].table_key)
    proxy = heirs.proxy[heirs.owner_of(heirs.owners, digest, &conn.flow)]
    if conntable_find(proxy.table, digest, &conn.flow) != NULL:
        tally.unsound += 1
        return
    heir = conntable_insert(proxy.table, digest, &conn.flow)
    if heir == NULL:
        tally.without_room += 1
        return
    heir[0] = conn[0]
    if conn.state == STATE_SYN_SENT and not handshake_adopt(
            proxy, heir, record_of(former, conn), service, heirs.now_ms):
        conntable_remove(proxy.table, digest, heir)
        tally.without_room += 1
        return
    if conn.state != STATE_SYN_SENT and conn.flags & CONN_SUPPLIED:
        supply_adopt(proxy, heir, &former.supplies.supplies[conn.ts_offset])
    tally.adopted += 1


cdef inline const HalfOpen *record_of(const Shard *former, const Connection *conn) noexcept nogil:
    return <const HalfOpen *>(former.half_open + 1) + conn.client_ack


# An entry that was entered, and what it points at; its bytes are believed, its indices are not.
cdef bint is_sound(const Shard *former, const Connection *conn) noexcept nogil:
    cdef const HalfOpen *record
    if (conn.state > STATE_DELETED or conn.client_window_log2 > WINDOW_LOG2_MAX
            or conn.server_window_log2 > WINDOW_LOG2_MAX):
        return False
    if conn.state != STATE_SYN_SENT:
        return not conn.flags & CONN_SUPPLIED or conn.ts_offset < SUPPLIES_MAX
    if conn.client_ack >= former.half_open.capacity:
        return False
    record = record_of(former, conn)
    return (record.connection == conntable_index(former.table, conn) and record.isn == conn.isn
            and record.stage == STAGE_SERVER_AWAITED)


# The SYN that was under way is said again, and counts once; one that was not waits anew.
cdef bint handshake_adopt(Proxy *proxy, Connection *heir, const HalfOpen *former,
                          const Service *service, uint64_t now_ms) noexcept nogil:
    cdef HalfOpen *record = half_open_take(proxy.half_open)
    cdef uint32_t pacer = PACER_NONE
    if record == NULL:
        return False
    record[0] = former[0]
    early_queue_init(&record.early_data)
    record.armed = False
    record.pacer = PACER_NONE
    record.connection = conntable_index(proxy.table, heir)
    record.row = service.row
    if former.syns_sent > 0:
        record.syns_sent -= 1
        record.syn_timeout_ms = max(record.syn_timeout_ms // 2, 1)
    heir.client_ack = half_open_index(proxy.half_open, record)
    if former.syns_sent == 0 and service.pacing_rate != 0:
        pacer = pacing_place(proxy, &heir.flow, now_ms * NS_PER_MS)
    if pacer == PACER_NONE:
        half_open_arm(proxy.half_open, record, now_ms, 0)
    else:
        half_open_wait(proxy.half_open, record, pacer, now_ms)
    return True


# Where there is none, it goes on without timestamps.
cdef void supply_adopt(Proxy *proxy, Connection *heir, const Supply *former) noexcept nogil:
    heir.ts_offset = supply_take(
        proxy.supplies, former.tsval_base, former.ts_recent, former.mss)
    if heir.ts_offset == SUPPLY_NONE:
        heir.flags &= <uint8_t>~CONN_SUPPLIED
