from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cython_core.wire.cache cimport CACHE_LINE_BYTES, __builtin_prefetch

cdef extern from *:
    """
    static inline uint64_t look_load(const uint64_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline uint32_t look_fresh(const uint32_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    }
    static inline void look_fence(void)
    {
        __atomic_thread_fence(__ATOMIC_ACQUIRE);
    }
    static inline void told_fence(void)
    {
        __atomic_thread_fence(__ATOMIC_RELEASE);
    }
    """
    uint64_t look_load(const uint64_t *) noexcept nogil
    uint32_t look_fresh(const uint32_t *) noexcept nogil
    void look_fence() noexcept nogil
    void told_fence() noexcept nogil

cdef enum:
    ENTRY_WORDS = 8             # of 8 bytes
    STATE_WORD = 7              # the one that an entry's state is in
    LOOKS_MAX = 8               # at an entry that changes at each of them

# What people call the values of ConnState, by number.
STATES = ("free", "syn_sent", "established", "half_closed", "time_wait", "client_reset",
          "server_reset", "closed", "refused", "deleted")

cdef size_t state_place():
    cdef Connection conn
    return <char *>&conn.state - <char *>&conn


if (sizeof(Connection) != CACHE_LINE_BYTES or sizeof(Bucket) != CACHE_LINE_BYTES
        or sizeof(ConnTable) > CONNTABLE_ALIGN):
    raise ImportError("conntable: an entry, a bucket and the header must each fit one cache line")
if state_place() // 8 != STATE_WORD:
    raise ImportError("conntable: the state is in another word")


cdef uint64_t conntable_bytes(uint32_t capacity) noexcept nogil:
    return (CONNTABLE_ALIGN + <uint64_t>buckets_for(capacity) * sizeof(Bucket)
            + <uint64_t>capacity * sizeof(Connection))


# A power of two of buckets, at most 3/4 full with `capacity` entries.
cdef uint32_t buckets_for(uint32_t capacity) noexcept nogil:
    cdef uint32_t buckets = 1
    while <uint64_t>buckets * BUCKET_SLOTS * 3 < <uint64_t>capacity * 4:
        buckets *= 2
    return buckets


cdef ConnTable *conntable_init(void *block, uint32_t capacity) noexcept nogil:
    cdef ConnTable *table = <ConnTable *>block
    table.version = CONNTABLE_VERSION
    table.entry_bytes = sizeof(Connection)
    table.capacity = capacity
    table.bucket_mask = buckets_for(capacity) - 1
    table.used = 0
    table.fresh = 0
    table.free_head = CONN_FREE_END
    table.sweep_at = 0
    table.evict_at = 0
    table.inserted = 0
    table.bytes = conntable_bytes(capacity)
    table.alive_ns = 0
    table.writing = 0
    return table


cdef inline uint32_t tag_of(uint64_t digest) noexcept nogil:
    return <uint32_t>(digest >> 32)


cdef inline Bucket *bucket_first(const ConnTable *table, uint64_t digest) noexcept nogil:
    return conntable_buckets(table) + (<uint32_t>digest & table.bucket_mask)


# The other bucket that an entry with this tag may stand in.  Where there are two it is never the
# same one: else a small table might have no place for those who have but one bucket.
cdef inline Bucket *bucket_other(const ConnTable *table, const Bucket *bucket,
                                 uint32_t tag) noexcept nogil:
    cdef uint32_t at = <uint32_t>(bucket - conntable_buckets(table))
    return conntable_buckets(table) + ((at ^ (tag * <uint32_t>0x9E3779B1 | 1)) & table.bucket_mask)


cdef void conntable_prefetch(const ConnTable *table, uint64_t digest) noexcept nogil:
    cdef Bucket *bucket = bucket_first(table, digest)
    __builtin_prefetch(bucket)
    __builtin_prefetch(bucket_other(table, bucket, tag_of(digest)))


cdef Connection *conntable_candidate(const ConnTable *table, uint64_t digest) noexcept nogil:
    cdef const Bucket *bucket = bucket_first(table, digest)
    cdef uint32_t entry = bucket_candidate(bucket, tag_of(digest))
    if entry == 0:
        entry = bucket_candidate(bucket_other(table, bucket, tag_of(digest)), tag_of(digest))
    return NULL if entry == 0 else conntable_entry(table, entry - 1)


# Index + 1, or 0.  A greatest one is found without branches on what a flood's tags are, and in
# vector instructions; an empty slot's counts as none.
cdef inline uint32_t bucket_candidate(const Bucket *bucket, uint32_t tag) noexcept nogil:
    cdef uint32_t greatest = 0
    cdef uint32_t i, entry
    for i in range(BUCKET_SLOTS):
        entry = bucket.entry[i] if bucket.tag[i] == tag else 0
        greatest = entry if entry > greatest else greatest
    return greatest


cdef inline Connection *bucket_find(const ConnTable *table, const Bucket *bucket, uint32_t tag,
                                    const Flow *flow) noexcept nogil:
    cdef Connection *conn
    cdef uint32_t i
    for i in range(BUCKET_SLOTS):
        if bucket.tag[i] == tag and bucket.entry[i] != 0:
            conn = conntable_entry(table, bucket.entry[i] - 1)
            if flow_equal(&conn.flow, flow):
                return conn
    return NULL


cdef Connection *conntable_find(const ConnTable *table, uint64_t digest,
                                const Flow *flow) noexcept nogil:
    cdef Bucket *bucket = bucket_first(table, digest)
    cdef Connection *conn = bucket_find(table, bucket, tag_of(digest), flow)
    if conn != NULL:
        return conn
    return bucket_find(table, bucket_other(table, bucket, tag_of(digest)), tag_of(digest), flow)


# An empty slot, or BUCKET_SLOTS: there is none.
cdef inline uint32_t bucket_vacancy(const Bucket *bucket) noexcept nogil:
    cdef uint32_t i
    for i in range(BUCKET_SLOTS):
        if bucket.entry[i] == 0:
            return i
    return BUCKET_SLOTS


# The same of a full bucket: one occupant moves to its other bucket, if any can.
cdef uint32_t bucket_displace(const ConnTable *table, Bucket *bucket) noexcept nogil:
    cdef Bucket *other
    cdef uint32_t i, vacancy
    for i in range(BUCKET_SLOTS):
        other = bucket_other(table, bucket, bucket.tag[i])
        vacancy = bucket_vacancy(other)
        if vacancy != BUCKET_SLOTS:
            other.tag[vacancy] = bucket.tag[i]
            other.entry[vacancy] = bucket.entry[i]
            bucket.entry[i] = 0
            return i
    return BUCKET_SLOTS


# The bucket of the two that has an empty slot, or gets one; NULL where neither can.
cdef Bucket *bucket_with_room(const ConnTable *table, uint64_t digest,
                              uint32_t *slot) noexcept nogil:
    cdef Bucket *first = bucket_first(table, digest)
    cdef Bucket *other = bucket_other(table, first, tag_of(digest))
    slot[0] = bucket_vacancy(first)
    if slot[0] != BUCKET_SLOTS:
        return first
    slot[0] = bucket_vacancy(other)
    if slot[0] != BUCKET_SLOTS:
        return other
    slot[0] = bucket_displace(table, first)
    if slot[0] != BUCKET_SLOTS:
        return first
    slot[0] = bucket_displace(table, other)
    return other if slot[0] != BUCKET_SLOTS else NULL


cdef Connection *conntable_insert(ConnTable *table, uint64_t digest,
                                  const Flow *flow) noexcept nogil:
    cdef Connection *conn
    cdef Bucket *bucket
    cdef uint32_t index, slot
    if table.used == table.capacity:
        return NULL
    bucket = bucket_with_room(table, digest, &slot)
    if bucket == NULL:
        return NULL
    if table.free_head != CONN_FREE_END:
        index = table.free_head
        table.free_head = conntable_entry(table, index).seq_offset
    else:
        index = table.fresh
        table.fresh += 1
    table.used += 1
    table.inserted += 1
    conn = conntable_entry(table, index)
    # Who sees any of what is written from here on sees that it was free; who sees the state that
    # its owner gives it sees the flow (conntable_look).
    told_fence()
    memset(conn, 0, sizeof(Connection))
    conn.flow = flow[0]
    told_fence()
    bucket.tag[slot] = tag_of(digest)
    bucket.entry[slot] = index + 1
    return conn


# An entry is free while its flow is written, and its state changes before that.  A copy begins with
# the state: where it is of a later connection than any word of the copy before, all of that one's
# flow follows.  So two copies that agree in what tells one connection from another, and in what it
# is translated by, are of one.
cdef bint conntable_look(const ConnTable *table, uint32_t index, Connection *seen) noexcept nogil:
    cdef const Connection *conn = conntable_entry(table, index)
    cdef Connection former
    cdef uint32_t _look
    if index >= look_fresh(&table.fresh):
        return False
    entry_copy(&former, conn)
    for _look in range(LOOKS_MAX):
        look_fence()
        entry_copy(seen, conn)
        if seen.state == STATE_FREE:
            return False
        if entry_same(seen, &former):
            return True
        former = seen[0]
    return False


cdef inline void entry_copy(Connection *copy, const Connection *conn) noexcept nogil:
    cdef const uint64_t *words = <const uint64_t *>conn
    cdef uint64_t *copies = <uint64_t *>copy
    cdef uint32_t at
    copies[<uint32_t>STATE_WORD] = look_load(&words[<uint32_t>STATE_WORD])
    look_fence()
    for at in range(ENTRY_WORDS - 1):
        copies[at] = look_load(&words[at])


cdef inline bint entry_same(const Connection *a, const Connection *b) noexcept nogil:
    return (flow_equal(&a.flow, &b.flow) and a.state == b.state and a.isn == b.isn
            and a.seq_offset == b.seq_offset and a.ts_offset == b.ts_offset)


cdef void conntable_remove(ConnTable *table, uint64_t digest, Connection *conn) noexcept nogil:
    cdef uint32_t index = conntable_index(table, conn)
    cdef Bucket *bucket = bucket_first(table, digest)
    cdef uint32_t i, _side
    for _side in range(2):
        for i in range(BUCKET_SLOTS):
            if bucket.entry[i] == index + 1:
                bucket.entry[i] = 0
        bucket = bucket_other(table, bucket, tag_of(digest))
    conn.state = STATE_FREE
    store_barrier()
    conn.seq_offset = table.free_head
    table.free_head = index
    table.used -= 1


cdef Connection *conntable_sweep(ConnTable *table, uint32_t *hand, uint32_t *steps) noexcept nogil:
    cdef Connection *conn
    while steps[0] > 0 and table.fresh > 0:
        steps[0] -= 1
        if hand[0] >= table.fresh:
            hand[0] = 0
        conn = conntable_entry(table, hand[0])
        hand[0] += 1
        if conn.state != STATE_FREE:
            return conn
    return NULL
