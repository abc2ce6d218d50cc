"""What the workers are at: see states.pyx."""

from libc.stdint cimport uint64_t

from cython_core.dpdk.crew cimport Crew

# A WorkerState of each worker.
cdef list states_workers(const Crew *crew)

# A WatchdogState.
cdef object states_watchdog(const Crew *crew)

# Seconds since 1970 by the workers' clock, the newest of them.
cdef uint64_t states_clock_s(const Crew *crew) noexcept
