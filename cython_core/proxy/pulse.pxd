"""A Pulse is one worker's view of one service: how hard it is asked, and what has come of that.

It outlives the snapshots, and begins anew where another service takes its row (proxy/activation).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

# One cache line, and what stands before the counters in the next one (proxy/counters).
cdef struct Pulse:
    uint64_t active_until_ms    # the marks have been low by then
    uint64_t switched_ms        # when cookies went on or off last
    uint64_t unknown_spent_ns   # what `unknown_rate` had allowed by then is spent
    uint32_t second             # since 1970, of `syns`
    uint32_t syns               # in that second
    uint32_t syn_rate           # of the second before
    # SYN-ACKs that passed, less connections that came of them; old ones are forgotten by 1/32 a
    # second, since a server holds on to one for about a minute (RFC 9293 §3.8.3's R2 for SYNs is
    # three).
    uint32_t unanswered
    # Connections of the service in the worker's table, counted as the sweep comes by.
    uint32_t sweep              # the sweep that `counting` belongs to
    uint32_t counting
    uint32_t counted            # by the sweep before, or 0
    uint64_t told               # a Told: what the last event of the service has said
    # The next line.
    uint32_t settled_tag        # the service that it was settled for,
    uint16_t settled            # and how: activation_mark
    uint8_t guarded             # 1: SYNs are answered with cookies
    uint8_t active              # 1: the marks call for cookies


# Of cookies that are on, or would be.
cdef enum Told:
    TOLD_NOTHING                # as the service had it from its beginning
    TOLD_OFF
    TOLD_ON
