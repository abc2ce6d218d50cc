from libc.stdint cimport uint32_t, uint64_t

from cython_core.proxy.conntable cimport (
    BUCKET_SLOTS, CONN_FREE_END, CONN_SUPPLIED, STATE_DELETED, STATE_FREE, STATE_SYN_SENT,
    Connection, ConnTable, conntable_buckets, conntable_entry, conntable_find, conntable_words,
)
from cython_core.proxy.early cimport EARLY_NONE, EarlyPool, EarlyQueue
from cython_core.proxy.half_open cimport (
    HALF_OPEN_NONE, STAGE_EARLY_DATA, STAGE_SERVER_AWAITED, WHEEL_SLOTS, HalfOpen, HalfOpenPool,
)
from cython_core.proxy.pacers cimport PACER_NONE, PACERS, Pacer, Pacers
from cython_core.proxy.parting cimport PARTINGS
from cython_core.proxy.supply cimport SUPPLY_NONE, SupplyPool
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words


cdef const char *proxy_audit(const Proxy *proxy) noexcept nogil:
    cdef const char *wrong = table_audit(proxy.table)
    if wrong == NULL:
        wrong = entries_audit(proxy)
    if wrong == NULL and proxy.partings.begun - proxy.partings.told > PARTINGS:
        wrong = "more connections part than there is room for"
    if wrong == NULL:
        wrong = supplies_audit(proxy)
    if wrong == NULL:
        wrong = half_open_audit(proxy)
    if wrong == NULL:
        wrong = pacers_audit(proxy.half_open)
    if wrong == NULL:
        wrong = early_audit(proxy.half_open)
    return wrong


cdef const char *table_audit(const ConnTable *table) noexcept nogil:
    cdef uint32_t in_use = 0
    cdef uint32_t named = 0
    cdef uint32_t freed = 0
    cdef uint32_t next = table.free_head
    cdef uint32_t at, slot
    if table.fresh > table.capacity:
        return "the table has more entries than it has room for"
    for at in range(table.fresh):
        in_use += conntable_entry(table, at).state != STATE_FREE
    for at in range(table.bucket_mask + 1):
        for slot in range(BUCKET_SLOTS):
            named += conntable_buckets(table)[at].entry[slot] != 0
    while next != CONN_FREE_END and freed <= table.fresh:
        if next >= table.fresh or conntable_entry(table, next).state != STATE_FREE:
            return "an entry in use is in the free chain"
        freed += 1
        next = conntable_entry(table, next).seq_offset
    if in_use != table.used or named != table.used or freed + in_use != table.fresh:
        return "the table's entries don't add up"
    return NULL


cdef const char *entries_audit(const Proxy *proxy) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef Connection *conn
    cdef uint32_t at
    for at in range(proxy.table.fresh):
        conn = conntable_entry(proxy.table, at)
        if conn.state == STATE_FREE:
            continue
        if conn.state > STATE_DELETED:
            return "an entry has no state"
        conntable_words(words, 1, &conn.flow)
        if conntable_find(proxy.table, siphash_words(words, &proxy.table_key), &conn.flow) != conn:
            return "an entry isn't found by its flow"
        if conn.state == STATE_SYN_SENT and not is_awaited(proxy.half_open, conn, at):
            return "an entry awaits its server, and no record does"
    return NULL


cdef bint is_awaited(const HalfOpenPool *pool, const Connection *conn, uint32_t at) noexcept nogil:
    cdef const HalfOpen *record
    if conn.client_ack >= pool.fresh:
        return False
    record = &pool.records[conn.client_ack]
    return (record.stage == STAGE_SERVER_AWAITED and record.connection == at
            and record.armed != (record.pacer != PACER_NONE) and record.isn == conn.isn)


cdef const char *supplies_audit(const Proxy *proxy) noexcept nogil:
    cdef const SupplyPool *pool = proxy.supplies
    cdef uint32_t next = pool.free_head
    cdef uint32_t owned = 0
    cdef uint32_t freed = 0
    cdef uint64_t seen = 0
    cdef Connection *conn
    cdef uint32_t at
    for at in range(proxy.table.fresh):
        conn = conntable_entry(proxy.table, at)
        if conn.state == STATE_FREE or not conn.flags & CONN_SUPPLIED:
            continue
        if conn.ts_offset >= pool.fresh or seen >> conn.ts_offset & 1:
            return "a supply is none, or another entry's as well"
        seen |= <uint64_t>1 << conn.ts_offset
        owned += 1
    while next != SUPPLY_NONE and freed <= pool.fresh:
        if next >= pool.fresh or seen >> next & 1:
            return "a supply in use is in the free chain"
        freed += 1
        next = pool.supplies[next].next
    if owned != pool.used or owned + freed != pool.fresh or pool.fresh > pool.capacity:
        return "supplies don't add up"
    return NULL


cdef const char *half_open_audit(const Proxy *proxy) noexcept nogil:
    cdef const HalfOpenPool *pool = proxy.half_open
    cdef uint32_t next = pool.free_head
    cdef uint32_t freed = 0
    cdef uint32_t awaiting = 0
    cdef uint64_t is_free = 0
    cdef const char *wrong
    cdef uint32_t at
    while next != HALF_OPEN_NONE and freed <= pool.fresh:
        if next >= pool.fresh:
            return "a record is free that never was in use"
        is_free |= <uint64_t>1 << next
        freed += 1
        next = pool.records[next].next
    if freed + pool.used != pool.fresh or pool.fresh > pool.capacity:
        return "half-open records don't add up"
    for at in range(pool.fresh):
        if is_free >> at & 1:
            continue
        wrong = record_audit(proxy, at)
        if wrong != NULL:
            return wrong
        awaiting += pool.records[at].stage == STAGE_SERVER_AWAITED
    if awaiting != pool.awaiting:
        return "those that await their server don't add up"
    return NULL


cdef const char *record_audit(const Proxy *proxy, uint32_t at) noexcept nogil:
    cdef const HalfOpenPool *pool = proxy.half_open
    cdef const HalfOpen *record = &pool.records[at]
    cdef const Connection *conn
    if record.connection >= proxy.table.fresh:
        return "a record names no entry"
    conn = conntable_entry(proxy.table, record.connection)
    if record.stage == STAGE_SERVER_AWAITED and (
            conn.state != STATE_SYN_SENT or conn.client_ack != at):
        return "a record awaits a server, and no entry does"
    if record.stage == STAGE_EARLY_DATA and not is_listed(pool, at):
        return "early data is ready, and nobody is to deliver it"
    if record.stage == STAGE_EARLY_DATA:
        return NULL
    if record.pacer != PACER_NONE:
        return turn_audit(pool, at)
    if not record.armed:
        return "a record waits for nothing"
    if record.previous == HALF_OPEN_NONE:
        if pool.wheel[record.deadline_tick % WHEEL_SLOTS] != at:
            return "a ring doesn't begin with its first record"
    elif pool.records[record.previous].next != at:
        return "a ring's records don't name each other"
    return NULL


cdef const char *turn_audit(const HalfOpenPool *pool, uint32_t at) noexcept nogil:
    cdef const HalfOpen *record = &pool.records[at]
    cdef const Pacer *pacer = &pool.pacers.pacer[record.pacer % PACERS]
    if record.armed or record.stage != STAGE_SERVER_AWAITED or record.syns_sent != 0:
        return "a record waits for its turn, and for something else"
    if not pacer.in_round:
        return "a record waits for a turn that never comes"
    if (pacer.first if record.previous == HALF_OPEN_NONE
            else pool.records[record.previous].next) != at:
        return "a queue's records don't name each other"
    if record.next == HALF_OPEN_NONE and pacer.last != at:
        return "a queue doesn't end with its last record"
    return NULL


# Each queue is as long as it says, the round as well.
cdef const char *pacers_audit(const HalfOpenPool *pool) noexcept nogil:
    cdef const Pacers *pacers = pool.pacers
    cdef uint32_t at = pacers.round_first
    cdef uint32_t waiting = 0
    cdef uint32_t _place
    for _place in range(pacers.in_round):
        if at == PACER_NONE or at >= PACERS or not pacers.pacer[at].in_round:
            return "the round has a server that isn't in it"
        if queue_length(pool, at) != pacers.pacer[at].waiting:
            return "a queue isn't as long as it says"
        waiting += pacers.pacer[at].waiting
        at = pacers.pacer[at].next
    if waiting != pacers.waiting:
        return "those that wait for their turn don't add up"
    return NULL


cdef uint32_t queue_length(const HalfOpenPool *pool, uint32_t pacer) noexcept nogil:
    cdef uint32_t at = pool.pacers.pacer[pacer].first
    cdef uint32_t length = 0
    if pool.pacers.pacer[pacer].waiting == 0:
        return 0
    while at < pool.fresh and pool.records[at].pacer == pacer and length <= pool.fresh:
        length += 1
        at = pool.records[at].next
    return length


cdef bint is_listed(const HalfOpenPool *pool, uint32_t record) noexcept nogil:
    cdef uint32_t at = pool.deliver_first
    cdef uint32_t _step
    for _step in range(pool.fresh):
        if at == record:
            return True
        if at == HALF_OPEN_NONE:
            return False
        at = pool.records[at].next
    return False


cdef const char *early_audit(const HalfOpenPool *pool) noexcept nogil:
    cdef const EarlyPool *early = pool.early
    cdef uint32_t next = early.oldest
    cdef uint32_t last = EARLY_NONE
    cdef uint32_t waiting = 0
    cdef uint32_t freed = 0
    while next != EARLY_NONE and waiting <= early.fresh:
        if next >= early.fresh or early.slots[next].older != last:
            return "early segments don't name each other"
        if not is_queued(early, early.slots[next].queue, next):
            return "an early segment isn't in its record's queue"
        waiting += 1
        last = next
        next = early.slots[next].newer
    next = early.free_head
    while next != EARLY_NONE and freed <= early.fresh:
        freed += 1
        next = early.slots[next].next
    if (waiting != early.used or early.newest != last or waiting + freed != early.fresh
            or early.fresh > early.capacity or queued(pool) != waiting):
        return "early segments don't add up"
    return NULL


cdef bint is_queued(const EarlyPool *early, const EarlyQueue *queue,
                    uint32_t segment) noexcept nogil:
    cdef uint32_t at = queue.first
    cdef uint32_t _step
    for _step in range(queue.count):
        if at == segment:
            return True
        if at == EARLY_NONE:
            return False
        at = early.slots[at].next
    return False


# What the queues of all records in use say.
cdef uint32_t queued(const HalfOpenPool *pool) noexcept nogil:
    cdef uint32_t total = 0
    cdef uint32_t at
    for at in range(pool.fresh):
        total += pool.records[at].early_data.count
    return total
