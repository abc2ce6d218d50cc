from libc.string cimport memset

from cython_core.proxy.conntable cimport (
    STATE_ESTABLISHED, STATE_TIME_WAIT, conntable_entry,
)
from cython_core.proxy.early cimport early_queue_init
from cython_core.proxy.pacers cimport PACER_NONE, Pacer, pacers_enter
from cython_core.wire.seq cimport seq_lt


cdef uint64_t half_open_bytes(uint32_t capacity) noexcept nogil:
    return sizeof(HalfOpenPool) + <uint64_t>capacity * sizeof(HalfOpen)


cdef HalfOpenPool *half_open_init(void *block, uint32_t capacity, EarlyPool *early,
                                  uint64_t now_ms) noexcept nogil:
    cdef HalfOpenPool *pool = <HalfOpenPool *>block
    pool.records = <HalfOpen *>(pool + 1)
    pool.capacity = capacity
    pool.used = 0
    pool.awaiting = 0
    pool.fresh = 0
    pool.free_head = HALF_OPEN_NONE
    pool.deliver_first = HALF_OPEN_NONE
    pool.deliver_last = HALF_OPEN_NONE
    pool.evict_at = 0
    pool.early = early
    pool.pacers = NULL
    pool.tick = <uint32_t>(now_ms // WHEEL_TICK_MS)
    memset(pool.wheel, 0xFF, sizeof(pool.wheel))    # HALF_OPEN_NONE in every ring
    return pool


cdef HalfOpen *half_open_take(HalfOpenPool *pool) noexcept nogil:
    cdef HalfOpen *record
    if pool.free_head != HALF_OPEN_NONE:
        record = &pool.records[pool.free_head]
        pool.free_head = record.next
    elif pool.fresh < pool.capacity:
        record = &pool.records[pool.fresh]
        pool.fresh += 1
    else:
        return NULL
    pool.used += 1
    pool.awaiting += 1
    memset(record, 0, sizeof(HalfOpen))
    early_queue_init(&record.early_data)
    return record


cdef void half_open_release(HalfOpenPool *pool, HalfOpen *record) noexcept nogil:
    if record.armed:
        ring_remove(pool, record)
    if record.pacer != PACER_NONE:
        half_open_turn(pool, record)
    if record.stage == STAGE_SERVER_AWAITED:
        pool.awaiting -= 1
    record.next = pool.free_head
    pool.free_head = half_open_index(pool, record)
    pool.used -= 1


cdef void half_open_stage(HalfOpenPool *pool, HalfOpen *record, uint8_t stage) noexcept nogil:
    if record.armed:
        ring_remove(pool, record)
    if record.stage == STAGE_SERVER_AWAITED:
        pool.awaiting -= 1
    record.stage = stage


cdef void half_open_deliver(HalfOpenPool *pool, HalfOpen *record) noexcept nogil:
    cdef uint32_t index = half_open_index(pool, record)
    half_open_stage(pool, record, STAGE_EARLY_DATA)
    record.next = HALF_OPEN_NONE
    if pool.deliver_last == HALF_OPEN_NONE:
        pool.deliver_first = index
    else:
        pool.records[pool.deliver_last].next = index
    pool.deliver_last = index


cdef HalfOpen *half_open_delivery(const HalfOpenPool *pool) noexcept nogil:
    return NULL if pool.deliver_first == HALF_OPEN_NONE else &pool.records[pool.deliver_first]


cdef void half_open_delivered(HalfOpenPool *pool) noexcept nogil:
    pool.deliver_first = pool.records[pool.deliver_first].next
    if pool.deliver_first == HALF_OPEN_NONE:
        pool.deliver_last = HALF_OPEN_NONE


cdef void half_open_wait(HalfOpenPool *pool, HalfOpen *record, uint32_t pacer,
                         uint64_t now_ms) noexcept nogil:
    cdef Pacer *queue = &pool.pacers.pacer[pacer]
    cdef uint32_t index = half_open_index(pool, record)
    record.pacer = pacer
    record.waits_since_ms = <uint32_t>now_ms
    record.next = HALF_OPEN_NONE
    record.previous = HALF_OPEN_NONE
    if queue.waiting == 0:
        queue.first = index
    else:
        record.previous = queue.last
        pool.records[queue.last].next = index
    queue.last = index
    queue.waiting += 1
    pool.pacers.waiting += 1
    pacers_enter(pool.pacers, pacer)


# What its server's place is in the round for is found out when the round comes there.
cdef void half_open_turn(HalfOpenPool *pool, HalfOpen *record) noexcept nogil:
    cdef Pacer *queue = &pool.pacers.pacer[record.pacer]
    if record.previous == HALF_OPEN_NONE:
        queue.first = record.next
    else:
        pool.records[record.previous].next = record.next
    if record.next == HALF_OPEN_NONE:
        queue.last = record.previous
    else:
        pool.records[record.next].previous = record.previous
    queue.waiting -= 1
    pool.pacers.waiting -= 1
    record.pacer = PACER_NONE


cdef Connection *half_open_entry(const ConnTable *table, const HalfOpen *record) noexcept nogil:
    cdef Connection *conn = conntable_entry(table, record.connection)
    if conn.isn == record.isn and STATE_ESTABLISHED <= conn.state <= STATE_TIME_WAIT:
        return conn
    return NULL


cdef void half_open_arm(HalfOpenPool *pool, HalfOpen *record, uint64_t now_ms,
                        uint32_t delay_ms) noexcept nogil:
    cdef uint32_t index = half_open_index(pool, record)
    cdef uint32_t ticks = delay_ms // WHEEL_TICK_MS + 1
    cdef uint32_t *head
    if ticks > WHEEL_SLOTS - 2:
        ticks = WHEEL_SLOTS - 2
    record.deadline_tick = <uint32_t>(now_ms // WHEEL_TICK_MS) + ticks
    head = &pool.wheel[record.deadline_tick % WHEEL_SLOTS]
    record.previous = HALF_OPEN_NONE
    record.next = head[0]
    if head[0] != HALF_OPEN_NONE:
        pool.records[head[0]].previous = index
    head[0] = index
    record.armed = True


# Unlink an armed record.
cdef void ring_remove(HalfOpenPool *pool, HalfOpen *record) noexcept nogil:
    if record.previous == HALF_OPEN_NONE:
        pool.wheel[record.deadline_tick % WHEEL_SLOTS] = record.next
    else:
        pool.records[record.previous].next = record.next
    if record.next != HALF_OPEN_NONE:
        pool.records[record.next].previous = record.previous
    record.armed = False


# The first of the ring at hand whose deadline has passed.  After a stop that was longer than the
# wheel is wide, rings that are overdue hold what has been armed since, too.
cdef inline uint32_t ring_due(const HalfOpenPool *pool, uint32_t now_tick) noexcept nogil:
    cdef uint32_t index = pool.wheel[pool.tick % WHEEL_SLOTS]
    while index != HALF_OPEN_NONE and seq_lt(now_tick, pool.records[index].deadline_tick):
        index = pool.records[index].next
    return index


cdef HalfOpen *half_open_wake(HalfOpenPool *pool, uint64_t now_ms, uint32_t *ticks) noexcept nogil:
    cdef uint32_t now_tick = <uint32_t>(now_ms // WHEEL_TICK_MS)
    cdef uint32_t index
    while pool.tick != now_tick and ticks[0] > 0:
        index = ring_due(pool, now_tick)
        if index != HALF_OPEN_NONE:
            ring_remove(pool, &pool.records[index])
            return &pool.records[index]
        pool.tick += 1
        ticks[0] -= 1
    return NULL
