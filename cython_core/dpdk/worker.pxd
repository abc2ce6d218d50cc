"""A worker: one lcore, one shard of the state, and the loop that carries frames through it.

    rx → parse → admit → verify → hash → steer → match → prove → decide → send   for each queue,
    then tend → tx

All that a worker writes is its own: its table, pool and counters (the Proxy), its burst, its
transmit queues, unless a port has fewer of these than there are workers.  What it hears from
outside are its orders, one for all workers, its commands and its inboxes.  The control thread reads
counters and progress as they stand.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from cython_core.dpdk.capture cimport Capture, CaptureFilter
from cython_core.dpdk.clock cimport Clock
from cython_core.dpdk.commands cimport Commands
from cython_core.dpdk.outlet cimport SIDES, WAYS_OUT, Outlet, Spares
from cython_core.dpdk.owners cimport Owners
from cython_core.dpdk.rte cimport rte_mbuf, rte_ring, rte_spinlock_t
from cython_core.dpdk.stages cimport Stages
from cython_core.proxy.burst cimport BURST_FRAMES, Burst
from cython_core.proxy.service cimport Snapshot
from cython_core.proxy.synproxy cimport Proxy

cdef enum:
    WORKERS_MAX = 64
    QUEUES_MAX = 16             # receive queues of one port that one worker can own
    # Taken at once from a queue, of the 64 that a burst could hold: what the stages hand on to each
    # other then stays in a first-level cache that is shared with a busy neighbour.
    RECEIVE_FRAMES = 32
    IDLE_TURNS = 1024           # in a row, before a worker pauses between its turns


# What the control thread tells all workers; each field is written with a store-release.
cdef struct Orders:
    const Snapshot *snapshot
    const CaptureFilter *capture_filter     # of the capture
    uint32_t stop
    uint32_t capture            # how often one has begun or ended: odd while one is on


# Where frames of one side come from.
cdef struct Inlet:
    uint16_t port_id
    uint16_t queue_count
    uint16_t queue_id[QUEUES_MAX]
    rte_ring *inbox             # frames that other workers hand over; NULL where there are none


# What a worker tells of itself: one writer, and readers take the numbers as they stand.
cdef struct Progress:
    uint64_t generation         # of the newest snapshot seen; written with a store-release
    uint64_t turns
    uint64_t busy_turns         # of them, with at least one frame, or a timer that was due
    uint64_t busy_cycles        # TSC cycles of the busy turns
    uint64_t began              # TSC at start
    uint64_t now                # TSC at the end of the last turn
    uint64_t bursts             # taken from a queue or an inbox, none of them empty
    uint64_t frames             # in these bursts
    uint64_t handed_in          # of them, taken from an inbox
    uint64_t handed_out         # of them, given to their owners
    uint32_t capture            # of the orders, as it has taken it up; a store-release


cdef struct Worker:
    Progress progress
    const Orders *orders
    const Owners *owners        # of flows; those of all workers
    uint32_t lcore_id
    uint32_t thread_id          # gettid(2), once it runs
    uint32_t index              # among the workers
    uint32_t count              # of workers
    uint32_t idle_turns         # in a row
    Worker *peer[WORKERS_MAX]   # by index
    Clock clock
    Inlet inlet[SIDES]
    Outlet outlet[WAYS_OUT]
    rte_spinlock_t sending[SIDES]       # of the transmit queue that has the worker's index
    Spares spares
    Commands commands
    Capture *capture
    bint captures               # one is on
    Proxy proxy
    rte_mbuf *mbuf[BURST_FRAMES]        # behind burst.segment
    Burst burst
    Stages stages


# The body of an lcore; `argument` is its Worker.  Returns when the orders say stop; then it
# holds no frame but those in its inboxes.
cdef int worker_run(void *argument) noexcept nogil
