from libc.string cimport memcpy

from cython_core.wire.segment cimport segment_length


cdef uint64_t early_bytes(uint32_t capacity) noexcept nogil:
    return sizeof(EarlyPool) + <uint64_t>capacity * sizeof(EarlySegment)


cdef EarlyPool *early_init(void *block, uint32_t capacity) noexcept nogil:
    cdef EarlyPool *pool = <EarlyPool *>block
    pool.slots = <EarlySegment *>(pool + 1)
    pool.capacity = capacity
    pool.used = 0
    pool.fresh = 0
    pool.free_head = EARLY_NONE
    pool.oldest = EARLY_NONE
    pool.newest = EARLY_NONE
    pool.shut_ms = 0
    return pool


cdef void early_queue_init(EarlyQueue *queue) noexcept nogil:
    queue.first = EARLY_NONE
    queue.last = EARLY_NONE
    queue.count = 0


cdef bint early_hold(EarlyPool *pool, EarlyQueue *queue, const Segment *segment,
                     bint *displaced) noexcept nogil:
    cdef EarlySegment *slot
    cdef uint32_t index
    displaced[0] = False
    if (queue.count == EARLY_SEGMENTS_MAX or segment.frame_bytes > EARLY_FRAME_BYTES
            or pool.capacity == 0):
        return False
    if pool.used == pool.capacity:
        early_pop(pool, pool.slots[pool.oldest].queue)
        displaced[0] = True
    index = slot_take(pool)
    slot = &pool.slots[index]
    slot.queue = queue
    slot.seq = segment.seq
    slot.length = <uint16_t>segment_length(segment)
    slot.frame_bytes = segment.frame_bytes
    memcpy(slot.frame, segment.frame, segment.frame_bytes)
    append(pool, queue, index)
    return True


cdef inline uint32_t slot_take(EarlyPool *pool) noexcept nogil:
    cdef uint32_t index = pool.free_head
    if index != EARLY_NONE:
        pool.free_head = pool.slots[index].next
    else:
        index = pool.fresh
        pool.fresh += 1
    pool.used += 1
    return index


# To the end of its connection's queue, and of all.
cdef inline void append(EarlyPool *pool, EarlyQueue *queue, uint32_t index) noexcept nogil:
    cdef EarlySegment *slot = &pool.slots[index]
    slot.next = EARLY_NONE
    slot.newer = EARLY_NONE
    slot.older = pool.newest
    if pool.newest == EARLY_NONE:
        pool.oldest = index
    else:
        pool.slots[pool.newest].newer = index
    pool.newest = index
    if queue.last == EARLY_NONE:
        queue.first = index
    else:
        pool.slots[queue.last].next = index
    queue.last = index
    queue.count += 1


cdef bint early_holds(const EarlyPool *pool, const EarlyQueue *queue,
                      const Segment *segment) noexcept nogil:
    cdef uint32_t index = queue.first
    cdef const EarlySegment *slot
    while index != EARLY_NONE:
        slot = &pool.slots[index]
        if slot.seq == segment.seq and slot.length == segment_length(segment):
            return True
        index = slot.next
    return False


cdef EarlySegment *early_first(const EarlyPool *pool, const EarlyQueue *queue) noexcept nogil:
    return NULL if queue.first == EARLY_NONE else &pool.slots[queue.first]


# The oldest of all is the first of its queue, so nothing is ever taken from within one.
cdef void early_pop(EarlyPool *pool, EarlyQueue *queue) noexcept nogil:
    cdef uint32_t index = queue.first
    cdef EarlySegment *slot = &pool.slots[index]
    queue.first = slot.next
    if slot.next == EARLY_NONE:
        queue.last = EARLY_NONE
    queue.count -= 1
    if slot.older == EARLY_NONE:
        pool.oldest = slot.newer
    else:
        pool.slots[slot.older].newer = slot.newer
    if slot.newer == EARLY_NONE:
        pool.newest = slot.older
    else:
        pool.slots[slot.newer].older = slot.older
    slot.next = pool.free_head
    pool.free_head = index
    pool.used -= 1
