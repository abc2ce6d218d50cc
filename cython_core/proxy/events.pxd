"""Events: samples of what happens, for those who watch; counters have the totals.

A worker writes them into a ring of its own that the control thread empties.  Nothing waits: of each
reason it writes EVENTS_A_SECOND at most, so that a flood of one hides no other, and counts how many
it passed over; what finds the ring full is lost, and counted.  While nobody watches an event costs
a look at `on`.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.counters cimport COUNTERS_N
from cython_core.wire.segment cimport Flow, Segment

cdef enum:
    EVENTS = 4096               # in a ring; a power of two
    EVENTS_A_SECOND = 100       # of one reason


# 64 bytes.
cdef struct Event:
    uint64_t time_ns            # since 1970
    uint64_t passed_over        # of the same reason, of all times until then
    Flow flow                   # zeros where it is of none
    uint32_t row                # the service's counters
    uint8_t reason              # a Counter
    uint8_t from_client         # who has sent the segment
    uint8_t flags               # its TCP flags; 0 where it is of none
    uint8_t padding[5]


cdef struct Events:
    # By the control thread, in a line of its own.
    uint64_t read               # of all times
    uint32_t on                 # somebody watches
    uint32_t heard_padding[13]
    # By the worker.
    uint64_t written            # of all times; a store-release
    uint64_t lost               # found the ring full
    uint64_t second             # since 1970, of `left`
    uint32_t left[COUNTERS_N]
    uint64_t passed_over[COUNTERS_N]    # of all times; a store-release
    Event event[EVENTS]


cdef extern from *:
    """
    static inline uint32_t events_on(const uint32_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline void events_release(uint64_t *at, uint64_t value)
    {
        __atomic_store_n(at, value, __ATOMIC_RELEASE);
    }
    """
    bint events_on(const uint32_t *) noexcept nogil
    void events_release(uint64_t *, uint64_t) noexcept nogil

# By the worker, at a turn's beginning: each second has an allowance of its own.
cdef inline void events_clock(Events *events, uint64_t now_s) noexcept nogil:
    if events.second != now_s:
        allowances_renew(events, now_s)

cdef void allowances_renew(Events *events, uint64_t now_s) noexcept nogil

# Whether the reason's allowance has one left.  A flood's segments find none, and are to cost
# no more than this.
cdef inline bint allowance_take(Events *events, uint8_t reason) noexcept nogil:
    if events.left[reason] == 0:
        events_release(&events.passed_over[reason], events.passed_over[reason] + 1)
        return False
    events.left[reason] -= 1
    return True

cdef void event_write(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                      const Flow *flow, bint from_client, uint8_t flags) noexcept nogil
cdef void event_write_segment(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                              const Segment *segment, bint from_client) noexcept nogil

# Something has happened to a connection, or to a service (`flow` is NULL).
cdef inline void event_note(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                            const Flow *flow) noexcept nogil:
    if events_on(&events.on) and allowance_take(events, reason):
        event_write(events, now_ns, reason, row, flow, False, 0)

# Something has become of a segment.
cdef inline void event_note_segment(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                                    const Segment *segment, bint from_client) noexcept nogil:
    if events_on(&events.on) and allowance_take(events, reason):
        event_write_segment(events, now_ns, reason, row, segment, from_client)

# By the control thread.  Whether the worker is to write any; what it had written is passed over.
cdef void events_switch(Events *events, bint on) noexcept nogil

# Copy the oldest event that was not read yet.  False: there is none.
cdef bint events_read(Events *events, Event *event) noexcept nogil
