"""All workers of the process: their memory, their launch, their end."""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.capture cimport CaptureFilter
from cython_core.dpdk.owners cimport Owners
from cython_core.dpdk.shards cimport Shards
from cython_core.dpdk.watchdog cimport Watchdog
from cython_core.dpdk.worker cimport WORKERS_MAX, Orders, Worker
from cython_core.proxy.learned cimport Learned
from cython_core.proxy.service cimport Snapshot


cdef struct Crew:
    Orders orders
    uint64_t padding[5]         # what all workers read has its cache line to itself
    Owners owners
    Learned *learned
    uint64_t *answered_ms       # see proxy/activation
    CaptureFilter capture_filter
    uint32_t captures           # begun and ended, of all times: odd while one is on
    uint32_t count
    bint launched
    bint kept                   # shards and what is learned lie in a file, not in DPDK's memory
    Worker *worker[WORKERS_MAX]
    Watchdog watchdog


# Raises DataplaneError where memory is short; then nothing of it is kept.  `ports` by side.
cdef Crew *crew_make(settings, ports, bytes table_key, Shards shards) except NULL
cdef void crew_free(Crew *crew) noexcept
# The process ends with `stall_exit` by a worker that makes no turn, unless that is 0; where one is
# `only_told`, not before crew_stop.  `last_words` is a file for the reason, or -1.
cdef int crew_launch(Crew *crew, int stall_exit, bint only_told, int last_words) except -1
cdef void crew_stop(Crew *crew) noexcept

# Every worker takes the snapshot at its next turn.
cdef void crew_publish(Crew *crew, const Snapshot *snapshot) noexcept

# The oldest generation that any worker may still read.
cdef uint64_t crew_generation(const Crew *crew) noexcept
