"""Connections that wait for their server, and the wheel that wakes them.

A HalfOpen holds what an established connection no longer needs: how frames to the server are
addressed, what the SYN says, and when it is sent again.  The pool is bounded; the wheel is
an array of rings of WHEEL_TICK_MS, wide enough that no deadline laps it, so that arming,
cancelling and waking each cost the same however many wait.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.handshake cimport Envelope

cdef enum:
    WHEEL_TICK_MS = 16
    WHEEL_SLOTS = 4096          # x 16 ms: deadlines up to 65 s ahead
    HALF_OPEN_NONE = 0xFFFFFFFF


cdef struct HalfOpen:
    uint32_t connection         # index in the connection table
    uint32_t next               # in its ring, or in the free chain
    uint32_t previous
    uint32_t deadline_tick
    uint32_t client_isn
    uint32_t our_tsval          # TSval of our SYN-ACK: what the client will echo
    uint32_t client_tsval       # TSval of the client's ACK
    uint16_t client_window      # of the client's ACK, unscaled field
    uint8_t syns_sent
    uint8_t syn_retries         # of the service when the cookie came
    uint32_t syn_timeout_ms     # until the next SYN
    uint32_t row                # the service's counters
    bint armed                  # in a ring of the wheel
    Offer offer
    Envelope envelope           # of frames from the client


cdef struct HalfOpenPool:
    HalfOpen *records
    uint32_t capacity
    uint32_t used
    uint32_t fresh
    uint32_t free_head
    uint32_t tick               # the next tick to wake
    uint32_t wheel[WHEEL_SLOTS]


cdef uint64_t half_open_bytes(uint32_t capacity) noexcept nogil

# Make a block of half_open_bytes an empty pool whose clock stands at `now_ms`.
cdef HalfOpenPool *half_open_init(void *block, uint32_t capacity, uint64_t now_ms) noexcept nogil

# An unarmed record, or NULL: full.
cdef HalfOpen *half_open_take(HalfOpenPool *pool) noexcept nogil

# Give back a record, armed or not.
cdef void half_open_release(HalfOpenPool *pool, HalfOpen *record) noexcept nogil

# Wake the unarmed `record` once, `delay_ms` after `now_ms` (cut to the wheel's width).
cdef void half_open_arm(HalfOpenPool *pool, HalfOpen *record, uint64_t now_ms,
                        uint32_t delay_ms) noexcept nogil

# A record whose deadline has passed, unarmed, or NULL.  Walks at most `ticks` empty rings.
cdef HalfOpen *half_open_wake(HalfOpenPool *pool, uint64_t now_ms, uint32_t *ticks) noexcept nogil


cdef inline uint32_t half_open_index(const HalfOpenPool *pool,
                                     const HalfOpen *record) noexcept nogil:
    return <uint32_t>(record - pool.records)
