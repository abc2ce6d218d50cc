"""Connections that wait for their server, and the wheel that wakes them.

A HalfOpen holds what an established connection no longer needs: how frames to the server are
addressed, what the SYN says, when it is sent again, and the client's early data.  The pool is
bounded; the wheel is an array of rings of WHEEL_TICK_MS, wide enough that no deadline laps it,
so that arming, cancelling and waking each cost the same however many wait.  A record whose SYN has
still to have its turn (proxy/pacing) stands in its server's queue instead, oldest first.

Once the server has answered, a record stays for what is still to be said in its name: early
data to the server, then the window to a client that had seen none.  From then on it knows its
connection, and the connection not it: see half_open_entry.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection, ConnTable
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.early cimport EarlyPool, EarlyQueue
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.pacers cimport Pacers

cdef enum:
    WHEEL_TICK_MS = 16
    WHEEL_SLOTS = 4096          # x 16 ms: deadlines up to 65 s ahead
    HALF_OPEN_NONE = 0xFFFFFFFF


cdef enum HalfOpenStage:
    STAGE_SERVER_AWAITED        # armed: the SYN is said again; or it waits for its turn
    STAGE_EARLY_DATA            # in the list of those whose early data can go
    STAGE_WINDOW                # armed: the window is said again


cdef struct HalfOpen:
    uint32_t connection         # index in the connection table
    # In its ring, in its server's queue, in the list of deliveries, or in the free chain.
    uint32_t next
    uint32_t previous
    uint32_t deadline_tick
    uint32_t isn                # ours toward the client, as in the connection
    uint32_t client_isn
    uint32_t client_nxt         # the client's SND.NXT, by what has been seen
    uint32_t our_tsval          # TSval of our SYN-ACK: what the client will echo
    uint32_t client_tsval       # TSval of the client's ACK
    uint16_t client_window      # of the client's ACK, unscaled field
    uint8_t syns_sent
    uint8_t syn_retries         # of the service when the cookie came
    uint8_t stage               # a HalfOpenStage
    uint8_t windows_said        # window updates to the client
    bint supplied               # its server has no timestamps, and is not asked for any again
    bint early                  # the service lets early data wait
    bint window_shut            # our SYN-ACK may have opened no window
    uint16_t server_window      # what the window update says, as on the wire
    uint32_t syn_timeout_ms     # until the next SYN
    uint32_t row                # the service's counters
    bint armed                  # in a ring of the wheel
    uint32_t pacer              # the server's place in whose queue it waits, or PACER_NONE
    uint32_t waits_since_ms     # the clock's lower half, since when it does
    EarlyQueue early_data
    Offer offer
    Envelope envelope           # of frames from the client


cdef struct HalfOpenPool:
    HalfOpen *records
    uint32_t capacity
    uint32_t used               # records
    uint32_t awaiting           # of them, in STAGE_SERVER_AWAITED
    uint32_t fresh
    uint32_t free_head
    uint32_t deliver_first      # the list of those whose early data can go, oldest first
    uint32_t deliver_last
    uint32_t evict_at           # the next record that is looked at for one that may go
    EarlyPool *early
    Pacers *pacers
    uint32_t tick               # the next tick to wake
    uint32_t wheel[WHEEL_SLOTS]


cdef uint64_t half_open_bytes(uint32_t capacity) noexcept nogil

# Make a block of half_open_bytes an empty pool whose clock stands at `now_ms`; its pacers are the
# caller's to set.
cdef HalfOpenPool *half_open_init(void *block, uint32_t capacity, EarlyPool *early,
                                  uint64_t now_ms) noexcept nogil

# An unarmed record, or NULL: full.
cdef HalfOpen *half_open_take(HalfOpenPool *pool) noexcept nogil

# Give back a record, armed, waiting for its turn or neither, in no list, without early data.
cdef void half_open_release(HalfOpenPool *pool, HalfOpen *record) noexcept nogil

# From STAGE_SERVER_AWAITED on, unarmed; its SYN has had its turn.
cdef void half_open_stage(HalfOpenPool *pool, HalfOpen *record, uint8_t stage) noexcept nogil

# To the end of the list of deliveries; and away from its head.
cdef void half_open_deliver(HalfOpenPool *pool, HalfOpen *record) noexcept nogil
cdef HalfOpen *half_open_delivery(const HalfOpenPool *pool) noexcept nogil
cdef void half_open_delivered(HalfOpenPool *pool) noexcept nogil

# The unarmed record waits from `now_ms` on, the last at that server's place; and no longer.
cdef void half_open_wait(HalfOpenPool *pool, HalfOpen *record, uint32_t pacer,
                         uint64_t now_ms) noexcept nogil
cdef void half_open_turn(HalfOpenPool *pool, HalfOpen *record) noexcept nogil

# The connection of a record whose server has answered, or NULL where it has ended since.
cdef Connection *half_open_entry(const ConnTable *table, const HalfOpen *record) noexcept nogil

# Wake the unarmed `record` once, `delay_ms` after `now_ms` (cut to the wheel's width).
cdef void half_open_arm(HalfOpenPool *pool, HalfOpen *record, uint64_t now_ms,
                        uint32_t delay_ms) noexcept nogil

# A record whose deadline has passed, unarmed, or NULL.  Walks at most `ticks` empty rings.
cdef HalfOpen *half_open_wake(HalfOpenPool *pool, uint64_t now_ms, uint32_t *ticks) noexcept nogil


cdef inline uint32_t half_open_index(const HalfOpenPool *pool,
                                     const HalfOpen *record) noexcept nogil:
    return <uint32_t>(record - pool.records)
