"""A Gate is what one worker has let through to one service: how much of its bounds is spent.

It outlives the snapshots as the pulse does, and begins anew where another service takes its row
(proxy/activation).  What is spent of a rate is kept as the time by which all that was let through
would have come evenly (the generic cell rate algorithm, ITU-T I.371 §A.1): one number, whatever
rate and burst are, so that either may change at any time.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    GATE_NS_PER_S = 1000000000
    GATE_SHUT = 0


# One cache line.
cdef struct Gate:
    uint64_t opened_ns          # of new connections: proxy/bounds
    uint64_t spare[7]


# What is spent once one more is let through at `now_ns`, or GATE_SHUT: it is too early.  `rate` a
# second, `burst` at once at most, both 1 at least.  Intervals are rounded up: never too many.
cdef inline uint64_t gate_spend(uint64_t spent_ns, uint32_t rate, uint32_t burst,
                                uint64_t now_ns) noexcept nogil:
    cdef uint64_t interval_ns = (<uint64_t>GATE_NS_PER_S + rate - 1) // rate
    cdef uint64_t oldest_ns = now_ns - burst * interval_ns
    if spent_ns < oldest_ns:
        spent_ns = oldest_ns
    spent_ns += interval_ns
    return spent_ns if spent_ns <= now_ns else <uint64_t>GATE_SHUT
