"""When a service's SYNs are answered with cookies, and how hard it is asked.

    always    each SYN
    auto      from the moment a mark is passed: SYNs a second, or handshakes that passed to the
              server and found no end; until both have been below half of it for hold_ms
    monitor   never; the same decisions are taken and counted
    off       never

For grace_ms after a switch both kinds of handshake are taken, since each has some under way.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from cython_core.proxy.counters cimport Row
from cython_core.proxy.pulse cimport Pulse
from cython_core.proxy.service cimport ACTIVATION_ALWAYS, ACTIVATION_AUTO, Service

cdef enum:
    # How often a worker tells the others that it answers with cookies; and how much longer than
    # grace_ms they take its cookies, for what it answers meanwhile.
    ANSWERED_MS = 1000

cdef extern from *:
    """
    static inline uint64_t answered_load(const uint64_t *at)
    {
        return __atomic_load_n(at, __ATOMIC_RELAXED);
    }
    static inline void answered_store(uint64_t *at, uint64_t now_ms)
    {
        __atomic_store_n(at, now_ms, __ATOMIC_RELAXED);
    }
    """
    uint64_t answered_load(const uint64_t *) noexcept nogil
    void answered_store(uint64_t *, uint64_t) noexcept nogil

# How a pulse is settled for a service: never 0.
cdef inline uint16_t activation_mark(const Service *service) noexcept nogil:
    return <uint16_t>(service.leaving << 8 | (service.activation + 1))

cdef inline bint activation_is_settled(const Pulse *pulse, const Service *service) noexcept nogil:
    return (pulse.settled_tag == service.tag
            and pulse.settled == activation_mark(service))

# What time alone changes, or another snapshot.
cdef void activation_settle(Pulse *pulse, const Service *service, Row *rows,
                            uint64_t now_ms) noexcept nogil

# A service's pulse, settled for this snapshot's options.
cdef inline Pulse *activation_pulse(Row *rows, const Service *service,
                                    uint64_t now_ms) noexcept nogil:
    cdef Pulse *pulse = &rows[service.row].pulse
    if not activation_is_settled(pulse, service):
        activation_settle(pulse, service, rows, now_ms)
    return pulse

# Note a client's SYN.  True: answer it with a cookie.  One that is refused is noted nowhere.
cdef bint activation_note_syn(Pulse *pulse, const Service *service, Row *rows,
                              uint64_t now_ms) noexcept nogil

cdef inline bint activation_syn(Pulse *pulse, const Service *service, Row *rows,
                                uint64_t now_ms) noexcept nogil:
    if service.refusing:
        return False
    if service.activation == ACTIVATION_ALWAYS and pulse.guarded:
        return True
    return activation_note_syn(pulse, service, rows, now_ms)

# A server's SYN-ACK has passed; a connection has come of one.
cdef void activation_note_synack(Pulse *pulse) noexcept nogil
cdef void activation_note_adoption(Pulse *pulse) noexcept nogil

# A SYN is answered with a cookie.  Its ACK may be another worker's, which judges for itself and may
# have none on: `answered_ms`, by row, is shared by all.
cdef inline void activation_note_answer(uint64_t *answered_ms, const Service *service,
                                        uint64_t now_ms) noexcept nogil:
    if (service.activation == ACTIVATION_AUTO
            and answered_load(&answered_ms[service.row]) + ANSWERED_MS <= now_ms):
        answered_store(&answered_ms[service.row], now_ms)

cdef inline bint activation_in_grace(const Pulse *pulse, const Service *service,
                                     uint64_t now_ms) noexcept nogil:
    return now_ms - pulse.switched_ms < service.grace_ms

# Whether cookies are good at the moment, and whether foreign handshakes are.
cdef inline bint activation_takes_cookies(const Pulse *pulse, const Service *service,
                                          const uint64_t *answered_ms,
                                          uint64_t now_ms) noexcept nogil:
    return (pulse.guarded or activation_in_grace(pulse, service, now_ms)
            or now_ms < answered_load(&answered_ms[service.row]) + 2 * ANSWERED_MS
            + service.grace_ms)

cdef inline bint activation_passes(const Pulse *pulse, const Service *service,
                                   uint64_t now_ms) noexcept nogil:
    return not pulse.guarded or activation_in_grace(pulse, service, now_ms)

# One of unknown_rate segments a second, a second's worth at once at most.  False: none is left.
cdef bint activation_take_unknown(Pulse *pulse, const Service *service,
                                  uint64_t now_ns) noexcept nogil

# One more connection of the service, met by that sweep of the table.
cdef inline void activation_count_connection(Pulse *pulse, uint32_t sweep) noexcept nogil:
    if pulse.sweep != sweep:
        pulse.counted = pulse.counting if pulse.sweep == sweep - 1 else 0
        pulse.counting = 0
        pulse.sweep = sweep
    pulse.counting += 1

# How many connections the last whole sweep had met; `sweep` is the one under way.
cdef inline uint32_t activation_connections(const Pulse *pulse, uint32_t sweep) noexcept nogil:
    if pulse.sweep == sweep:
        return pulse.counted
    return pulse.counting if pulse.sweep == sweep - 1 else 0
