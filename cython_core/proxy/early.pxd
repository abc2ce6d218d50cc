"""Early data: client segments that wait until their server has answered.

Our SYN-ACK opens a window of EARLY_WINDOW_BYTES, so that a request comes with the client's
first flight; here it waits, whole frames as they came, and goes to the server right behind our
ACK.  Nothing of it is acknowledged by us: what is lost here, its client says again.

Bounds: EARLY_SEGMENTS_MAX of one connection, `capacity` of a worker.  While all slots are taken,
SYN-ACKs open no window, and who had seen an open one displaces the oldest segment there is.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.wire.segment cimport Segment

cdef enum:
    EARLY_WINDOW_BYTES = 8192   # unscaled, as in every SYN-ACK: five full Ethernet frames
    EARLY_SEGMENTS_MAX = 8      # of one connection
    EARLY_FRAME_BYTES = 2048    # the longest frame that a receive buffer holds
    EARLY_NONE = 0xFFFFFFFF


# One connection's segments, oldest first.
cdef struct EarlyQueue:
    uint32_t first              # slots, or EARLY_NONE
    uint32_t last
    uint32_t count


cdef struct EarlySegment:
    EarlyQueue *queue
    uint32_t next               # of its connection; or in the free chain
    uint32_t older              # of all
    uint32_t newer
    uint32_t seq
    uint16_t length             # SEG.LEN: a FIN may come with what waits already
    uint16_t frame_bytes
    uint8_t frame[EARLY_FRAME_BYTES]


cdef struct EarlyPool:
    EarlySegment *slots
    uint32_t capacity
    uint32_t used
    uint32_t fresh
    uint32_t free_head
    uint32_t oldest             # of all
    uint32_t newest
    uint64_t shut_ms            # when a SYN-ACK opened no window last, for want of slots


cdef uint64_t early_bytes(uint32_t capacity) noexcept nogil
cdef EarlyPool *early_init(void *block, uint32_t capacity) noexcept nogil
cdef void early_queue_init(EarlyQueue *queue) noexcept nogil

# The window that a SYN-ACK may open at this moment.
cdef inline uint16_t early_window(EarlyPool *pool, uint64_t now_ms) noexcept nogil:
    if pool.used < pool.capacity:
        return EARLY_WINDOW_BYTES
    pool.shut_ms = now_ms
    return 0

# Keep a copy of the segment's frame.  False where the connection has no more room, or its frame
# is too long.  `displaced` is set where the oldest segment of all had to go.
cdef bint early_hold(EarlyPool *pool, EarlyQueue *queue, const Segment *segment,
                     bint *displaced) noexcept nogil

# Whether a segment of the same sequence number and length waits already.
cdef bint early_holds(const EarlyPool *pool, const EarlyQueue *queue,
                      const Segment *segment) noexcept nogil

# The queue's first segment, or NULL; early_pop takes it away.
cdef EarlySegment *early_first(const EarlyPool *pool, const EarlyQueue *queue) noexcept nogil
cdef void early_pop(EarlyPool *pool, EarlyQueue *queue) noexcept nogil
