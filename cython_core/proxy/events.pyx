from libc.string cimport memset

from cython_core.wire.segment cimport segment_flow

from cython_core.proxy.counters import DROP_REASONS, NAMES

cdef extern from *:
    """
    static inline uint64_t events_acquire(const uint64_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_ACQUIRE);
    }
    static inline void events_set(uint32_t *at, uint32_t value)
    {
        __atomic_store_n(at, value, __ATOMIC_RELAXED);
    }
    """
    uint64_t events_acquire(const uint64_t *) noexcept nogil
    void events_set(uint32_t *, uint32_t) noexcept nogil

if sizeof(Event) != 64:
    raise ImportError("events: an event must fit one cache line")

# What can be watched, in the order of the counters of the same names.
EVENT_REASONS = tuple(name for name in NAMES if name in DROP_REASONS or name in (
    "server_refused", "server_unreachable", "server_timeout", "pacing_timeout",
    "server_challenged", "options_learned", "options_differ", "cookies_on", "cookies_off",
    "conn_deleted", "conn_evicted", "opening_evicted", "half_open_evicted", "unused_evicted",
    "idle_evicted"))


cdef void allowances_renew(Events *events, uint64_t now_s) noexcept nogil:
    cdef uint32_t at
    events.second = now_s
    for at in range(COUNTERS_N):
        events.left[at] = EVENTS_A_SECOND


cdef void event_write_segment(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                              const Segment *segment, bint from_client) noexcept nogil:
    cdef Flow flow
    segment_flow(segment, from_client, &flow)
    event_write(events, now_ns, reason, row, &flow, from_client, segment.flags)


cdef void event_write(Events *events, uint64_t now_ns, uint8_t reason, uint32_t row,
                      const Flow *flow, bint from_client, uint8_t flags) noexcept nogil:
    cdef Event *event
    if events.written - events_acquire(&events.read) == EVENTS:
        events_release(&events.lost, events.lost + 1)
        return
    event = &events.event[events.written % EVENTS]
    event.time_ns = now_ns
    event.row = row
    event.reason = reason
    event.from_client = from_client
    event.flags = flags
    event.passed_over = events.passed_over[reason]
    if flow == NULL:
        memset(&event.flow, 0, sizeof(Flow))
    else:
        event.flow = flow[0]
    events_release(&events.written, events.written + 1)


cdef void events_switch(Events *events, bint on) noexcept nogil:
    events_release(&events.read, events_acquire(&events.written))
    events_set(&events.on, on)


cdef bint events_read(Events *events, Event *event) noexcept nogil:
    if events.read == events_acquire(&events.written):
        return False
    event[0] = events.event[events.read % EVENTS]
    events_release(&events.read, events.read + 1)
    return True
