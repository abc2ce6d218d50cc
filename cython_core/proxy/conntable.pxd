"""The connection table of one worker: bounded, one writer, no locks, no pointers inside.

A table is one contiguous block, so that it can lie in hugepages or in a file that a new
process maps: header, then buckets, then entries.  A bucket is one cache line of eight tags
and their entries; a flow has two buckets it may stand in, the second found from the first
and the tag alone.  A lookup reads two lines at most, and an entry only where 32 bits agree.
Keys are SipHash digests under a secret, so that collisions can't be aimed.

Full is defined: `conntable_insert` gives NULL once `capacity` entries are in use, or where
neither bucket has room or an occupant that can move (rare: buckets are at most 3/4 full).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.segment cimport Flow

cdef enum:
    CONNTABLE_VERSION = 3
    BUCKET_SLOTS = 8            # of 8 bytes: one cache line
    CONNTABLE_ALIGN = 64        # bytes; a cache line
    ACTIVITY_TICK_S = 4         # 16 bits of 4 s: idle times up to 72 hours can be told
    CONN_FREE_END = 0xFFFFFFFF


cdef enum ConnState:
    STATE_FREE
    STATE_SYN_SENT              # our SYN is on its way to the server
    STATE_ESTABLISHED
    STATE_HALF_CLOSED           # one side's FIN has passed
    STATE_TIME_WAIT             # both FINs have passed
    STATE_CLIENT_RESET          # the client's RST has passed; its server may still refute it
    STATE_SERVER_RESET
    STATE_CLOSED                # too long idle; kept so that its cookie opens nothing again
    STATE_REFUSED               # never established: refused, silent, or given up by its client
    STATE_DELETED               # an operator has ended it; whoever goes on gets a RST


cdef enum ConnFlag:
    CONN_CLIENT_FIN = 0x01
    CONN_SERVER_FIN = 0x02
    CONN_TIMESTAMPS = 0x04      # both ends send them: translate
    CONN_RST_DOUBTFUL = 0x08    # a RST in window but not exact has passed (RFC 5961 §3.2)
    CONN_PASSES = 0x10          # its handshake was not ours: all numbers pass
    CONN_STRIP_SACK = 0x20      # one end only takes them: no SACK blocks pass
    CONN_SUPPLIED = 0x40        # the server has no timestamps: proxy/supply has them
    CONN_WINDOW_TOLD = 0x80     # the server has told its window itself since its SYN-ACK


# One connection.  The halves of `scales_*` are shift counts, high nibble first.
cdef struct Connection:
    Flow flow                   # 36 bytes
    uint32_t seq_offset         # our ISN - server's ISN
    uint32_t ts_offset          # server's TSval - our TSval; or an index into proxy/supply
    uint32_t isn                # our ISN toward the client: the cookie that opened this
    # Highest ACK of the client, in the server's numbers; in STATE_SYN_SENT, the index of its
    # HalfOpen.
    uint32_t client_ack
    uint32_t server_ack         # highest ACK of the server
    uint16_t active             # activity clock at the last segment in window
    uint8_t state               # a ConnState
    uint8_t flags               # ConnFlag
    uint8_t scales_client       # the client's scale | what the server takes it for
    uint8_t scales_server       # the server's scale | what the client takes it for
    uint8_t client_window_log2  # widest window of the client, rounded up to 2^n bytes
    uint8_t server_window_log2


# Tags side by side, so that one is looked for among several at once.
cdef struct Bucket:
    uint32_t tag[BUCKET_SLOTS]
    uint32_t entry[BUCKET_SLOTS]        # index + 1; 0: the slot is empty, whatever its tag


cdef struct ConnTable:
    uint32_t version
    uint32_t entry_bytes        # sizeof(Connection): guards a mapped file
    uint32_t capacity
    uint32_t bucket_mask        # buckets less one
    uint32_t used
    uint32_t inserted           # entries of all times, mod 2^32
    uint32_t fresh              # entries from here on were never used
    uint32_t free_head          # chain of freed entries through seq_offset, or CONN_FREE_END
    uint32_t sweep_at           # the next entry that expiry looks at: each once in a sweep
    uint32_t evict_at           # the next entry that is looked at for one that may go
    uint64_t bytes              # the whole block
    uint64_t alive_ns           # its worker's clock, at the worker's last turn
    uint32_t writing            # index + 1 of the entry that is half written, or 0


# A process that is killed has done all its stores up to some instruction: between its own reads and
# those of who maps its memory afterwards only the compiler can exchange two of them.
cdef extern from *:
    """
    static inline void store_barrier(void)
    {
        __asm__ volatile("" ::: "memory");
    }
    """
    void store_barrier() noexcept nogil


cdef inline bint flow_equal(const Flow *a, const Flow *b) noexcept nogil:
    return memcmp(a, b, sizeof(Flow)) == 0

# The least block for `capacity` entries.
cdef uint64_t conntable_bytes(uint32_t capacity) noexcept nogil

# Make `block` (zeroed, CONNTABLE_ALIGN aligned, conntable_bytes long) an empty table.
cdef ConnTable *conntable_init(void *block, uint32_t capacity) noexcept nogil

# The hash input of a flow: six words, `stride` apart.
cdef inline void conntable_words(uint64_t *words, uint32_t stride,
                                 const Flow *flow) noexcept nogil:
    words[0] = load64_raw(flow.client_address)
    words[stride] = load64_raw(flow.client_address + 8)
    words[2 * stride] = load64_raw(flow.server_address)
    words[3 * stride] = load64_raw(flow.server_address + 8)
    words[4 * stride] = <uint64_t>flow.client_port << 16 | flow.server_port
    words[5 * stride] = 0

# Begin to load where a flow's entry would be named; then, the entry that bears its tag, or NULL:
# there is none.  With 2^-32 a pair the entry is another's.
cdef void conntable_prefetch(const ConnTable *table, uint64_t digest) noexcept nogil
cdef Connection *conntable_candidate(const ConnTable *table, uint64_t digest) noexcept nogil

# The flow's entry or NULL, from a candidate that was found when the table's count of insertions was
# `inserted`.
cdef inline Connection *conntable_settle(const ConnTable *table, uint64_t digest, const Flow *flow,
                                         Connection *candidate,
                                         uint32_t inserted) noexcept nogil:
    if candidate == NULL:
        if table.inserted == inserted:
            return NULL
    elif candidate.state != STATE_FREE and flow_equal(&candidate.flow, flow):
        return candidate
    return conntable_find(table, digest, flow)

cdef Connection *conntable_find(const ConnTable *table, uint64_t digest,
                                const Flow *flow) noexcept nogil

# A zeroed entry with its flow set, or NULL: full.  The flow must not be in the table.
cdef Connection *conntable_insert(ConnTable *table, uint64_t digest,
                                  const Flow *flow) noexcept nogil

# Copy the entry at `index`, below `fresh`, while its worker goes on: for any thread.  False: it is
# not in use.  Its flow, state and offsets belong together; the rest is as it stood at that moment.
cdef bint conntable_look(const ConnTable *table, uint32_t index, Connection *seen) noexcept nogil

cdef void conntable_remove(ConnTable *table, uint64_t digest, Connection *conn) noexcept nogil

# The next entry in use at or after `hand`, which is one of the table's, among at most `steps`, else
# NULL; the hand moves on.
cdef Connection *conntable_sweep(ConnTable *table, uint32_t *hand, uint32_t *steps) noexcept nogil


cdef inline Bucket *conntable_buckets(const ConnTable *table) noexcept nogil:
    return <Bucket *>(<uint8_t *>table + CONNTABLE_ALIGN)


cdef inline Connection *conntable_entry(const ConnTable *table, uint32_t index) noexcept nogil:
    cdef uint64_t buckets_bytes = <uint64_t>(table.bucket_mask + 1) * sizeof(Bucket)
    return <Connection *>(<uint8_t *>table + CONNTABLE_ALIGN + buckets_bytes) + index


cdef inline uint32_t conntable_index(const ConnTable *table,
                                     const Connection *conn) noexcept nogil:
    return <uint32_t>(conn - conntable_entry(table, 0))


# Around each change of an entry in which one field means nothing without another; a kill amid it
# costs this entry.  What changes one word at a time, each right without the others, needs no word
# here: the segment that brought it is said again.  A free entry becomes one by its state, last.
cdef inline void entry_begin(ConnTable *table, const Connection *conn) noexcept nogil:
    table.writing = conntable_index(table, conn) + 1
    store_barrier()


cdef inline void entry_end(ConnTable *table) noexcept nogil:
    store_barrier()
    table.writing = 0
