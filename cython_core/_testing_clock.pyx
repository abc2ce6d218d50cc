"""A door to a worker's clock, whose time a test keeps; not in the image."""

from libc.stdint cimport uint64_t

from cython_core.dpdk.clock cimport (
    Clock, clock_is_due, clock_ns, clock_settle, clock_start,
)


cdef class WorkerClock:
    cdef Clock clock

    def __init__(self, uint64_t hz, uint64_t now_ns, uint64_t boottime_ns):
        """`hz` is what is known of the TSC, which is at 0."""
        clock_start(&self.clock, hz, 0, now_ns, boottime_ns)

    def told_ns(self, uint64_t cycles, uint64_t boottime_ns):
        """Since 1970, at that TSC, as a turn reads it; CLOCK_BOOTTIME is read where a second is
        over."""
        if clock_is_due(&self.clock, cycles):
            clock_settle(&self.clock, cycles, boottime_ns)
        return clock_ns(&self.clock, cycles)
