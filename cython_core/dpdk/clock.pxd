"""A worker's clock: nanoseconds since 1970 out of the TSC, one reading a turn.

The wall clock is read once, at start, so that time never steps under the timers; the TSC is
invariant and the same on every core of the machines we run on (CPUID 80000007h EDX[8]).
"""

from libc.stdint cimport uint64_t

cdef enum:
    CLOCK_NS_PER_S = 1000000000


cdef struct Clock:
    uint64_t hz                 # TSC cycles a second
    uint64_t ns_per_cycle_32    # 2^32 x nanoseconds of one cycle
    uint64_t base_cycles        # TSC at base_ns; moves on by whole seconds
    uint64_t base_ns


cdef inline void clock_start(Clock *clock, uint64_t hz, uint64_t cycles,
                             uint64_t now_ns) noexcept nogil:
    clock.hz = hz
    clock.ns_per_cycle_32 = (<uint64_t>CLOCK_NS_PER_S << 32) // hz
    clock.base_cycles = cycles
    clock.base_ns = now_ns


# Less than a second is left to multiply, so 64 bits are enough, and no error adds up.
cdef inline uint64_t clock_ns(Clock *clock, uint64_t cycles) noexcept nogil:
    cdef uint64_t elapsed = cycles - clock.base_cycles
    while elapsed >= clock.hz:
        elapsed -= clock.hz
        clock.base_cycles += clock.hz
        clock.base_ns += CLOCK_NS_PER_S
    return clock.base_ns + (elapsed * clock.ns_per_cycle_32 >> 32)
