"""A worker's clock: nanoseconds since 1970, one reading of the TSC a turn.

The wall clock is read once, at start, so that time never steps under the timers.  From there on the
clock keeps to CLOCK_BOOTTIME, whose rate NTP disciplines and which every process of this boot reads
alike; the TSC, invariant and the same on every core of the machines we run on (CPUID 80000007h
EDX[8]), only divides its seconds.  What is known of the TSC's rate may be wrong by some tenths of a
percent: DPDK rounds what it has measured to 10 MHz.
"""

from libc.stdint cimport int64_t, uint64_t
from posix.time cimport clock_gettime, clockid_t, timespec

cdef extern from "<time.h>" nogil:
    clockid_t CLOCK_BOOTTIME

cdef enum:
    CLOCK_NS_PER_S = 1000000000
    CLOCK_BEND_NS = 500000000   # at most, so that a second is told as half of one to one and a half


cdef struct Clock:
    uint64_t hz                 # TSC cycles a second, about
    uint64_t ns_per_cycle_32    # 2^32 x nanoseconds of one cycle, until the next settling
    uint64_t base_cycles        # TSC at base_ns
    uint64_t base_ns
    uint64_t boot_ns            # what the clock would show at CLOCK_BOOTTIME 0


cdef inline uint64_t clock_boottime_ns() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_BOOTTIME, &now)
    return <uint64_t>now.tv_sec * CLOCK_NS_PER_S + <uint64_t>now.tv_nsec


cdef inline void clock_start(Clock *clock, uint64_t hz, uint64_t cycles, uint64_t now_ns,
                             uint64_t boottime_ns) noexcept nogil:
    clock.hz = hz
    clock.ns_per_cycle_32 = (<uint64_t>CLOCK_NS_PER_S << 32) // hz
    clock.base_cycles = cycles
    clock.base_ns = now_ns
    clock.boot_ns = now_ns - boottime_ns


# Whether a second is over.
cdef inline bint clock_is_due(const Clock *clock, uint64_t cycles) noexcept nogil:
    return cycles - clock.base_cycles >= clock.hz


# Where it is due.  What the clock lacks by then, or is ahead, the next second makes
# up for.  Less than a second is left to multiply each time, so 64 bits are enough.
cdef inline void clock_settle(Clock *clock, uint64_t cycles, uint64_t boottime_ns) noexcept nogil:
    cdef uint64_t elapsed = cycles - clock.base_cycles
    cdef uint64_t seconds = elapsed // clock.hz
    cdef int64_t behind
    # The first has been told as it was bent; of the others, slept through, nobody has heard.
    clock.base_ns += ((clock.hz * clock.ns_per_cycle_32 >> 32) + (seconds - 1) * CLOCK_NS_PER_S
                      + ((elapsed - seconds * clock.hz) * clock.ns_per_cycle_32 >> 32))
    clock.base_cycles = cycles
    behind = <int64_t>(clock.boot_ns + boottime_ns - clock.base_ns)
    behind = min(max(behind, -<int64_t>CLOCK_BEND_NS), <int64_t>CLOCK_BEND_NS)
    clock.ns_per_cycle_32 = (<uint64_t>(CLOCK_NS_PER_S + behind) << 32) // clock.hz


cdef inline uint64_t clock_ns(Clock *clock, uint64_t cycles) noexcept nogil:
    if clock_is_due(clock, cycles):
        clock_settle(clock, cycles, clock_boottime_ns())
    return clock.base_ns + ((cycles - clock.base_cycles) * clock.ns_per_cycle_32 >> 32)
