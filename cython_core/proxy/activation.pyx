from libc.string cimport memset

from cython_core.proxy.counters cimport COOKIES_OFF, COOKIES_ON, count
from cython_core.proxy.gate cimport Gate
from cython_core.proxy.service cimport ACTIVATION_AUTO, ACTIVATION_MONITOR
from cython_core.wire.cache cimport CACHE_LINE_BYTES

cdef enum:
    SHARED_BYTES = 8            # of a pulse, on the line of the first counters
    MS_PER_S = 1000
    NS_PER_S = 1000000000
    FORGET_SHIFT = 5            # `unanswered` loses 1/32 a second
    FORGET_SECONDS_MAX = 256    # behind these nothing is left of any

if sizeof(Row) % CACHE_LINE_BYTES != 0 or sizeof(Pulse) != CACHE_LINE_BYTES + SHARED_BYTES:
    raise ImportError("a row takes whole cache lines, of its pulse's second one 8 bytes")


cdef bint activation_note_syn(Pulse *pulse, const Service *service, Row *rows,
                              uint64_t now_ms) noexcept nogil:
    pulse_roll(pulse, now_ms)
    pulse.syns += 1
    pulse_judge(pulse, service, rows, now_ms)
    return pulse.guarded


cdef void activation_settle(Pulse *pulse, const Service *service, Row *rows,
                            uint64_t now_ms) noexcept nogil:
    if pulse.settled_tag != service.tag:
        memset(pulse, 0, sizeof(Pulse))
        memset(&rows[service.row].gate, 0, sizeof(Gate))
    pulse_roll(pulse, now_ms)
    pulse_judge(pulse, service, rows, now_ms)


# Whether cookies are on, by the counts as they are.
cdef void pulse_judge(Pulse *pulse, const Service *service, Row *rows,
                      uint64_t now_ms) noexcept nogil:
    cdef bint marked = service.activation in (ACTIVATION_AUTO, ACTIVATION_MONITOR)
    cdef bint guarded
    if marked and is_high(pulse, service):
        pulse.active_until_ms = now_ms + service.hold_ms
    if not marked:
        pulse.active = False
    elif pulse.active and now_ms >= pulse.active_until_ms:
        pulse.active = False
        count(rows, service.row, COOKIES_OFF)
    elif not pulse.active and is_over_mark(pulse, service):
        pulse.active = True
        count(rows, service.row, COOKIES_ON)
    guarded = service.activation == ACTIVATION_ALWAYS or (
        service.activation == ACTIVATION_AUTO and pulse.active)
    # One that leaves has had cookies, most likely, in the row that it has left.
    if (guarded != pulse.guarded and pulse.settled != 0) or (
            service.leaving and not activation_is_settled(pulse, service)):
        pulse.switched_ms = now_ms
    pulse.guarded = guarded
    pulse.settled_tag = service.tag
    pulse.settled = activation_mark(service)


# On at once, within the second in which a mark is passed.
cdef inline bint is_over_mark(const Pulse *pulse, const Service *service) noexcept nogil:
    return pulse.syns >= service.syn_rate_mark or pulse.unanswered >= service.half_open_mark


# Off by what whole seconds say.
cdef inline bint is_high(const Pulse *pulse, const Service *service) noexcept nogil:
    return (is_over_mark(pulse, service) or pulse.syn_rate * 2 >= service.syn_rate_mark
            or pulse.unanswered * 2 >= service.half_open_mark)


# Into the second of `now_ms`.
cdef void pulse_roll(Pulse *pulse, uint64_t now_ms) noexcept nogil:
    cdef uint32_t second = <uint32_t>(now_ms // MS_PER_S)
    cdef uint32_t passed = second - pulse.second
    cdef uint32_t _second
    if passed == 0:
        return
    pulse.syn_rate = pulse.syns if passed == 1 else 0
    pulse.syns = 0
    pulse.second = second
    if passed > FORGET_SECONDS_MAX:
        pulse.unanswered = 0
        return
    for _second in range(passed):
        pulse.unanswered -= (pulse.unanswered + (1 << FORGET_SHIFT) - 1) >> FORGET_SHIFT


cdef void activation_note_synack(Pulse *pulse) noexcept nogil:
    pulse.unanswered += 1


cdef void activation_note_adoption(Pulse *pulse) noexcept nogil:
    if pulse.unanswered > 0:
        pulse.unanswered -= 1


# One takes whole nanoseconds, rounded down: at 100,000 a second that lets none too many through.
cdef bint activation_take_unknown(Pulse *pulse, const Service *service,
                                  uint64_t now_ns) noexcept nogil:
    cdef uint64_t spent = pulse.unknown_spent_ns
    if service.unknown_rate == 0:
        return False
    if spent + NS_PER_S < now_ns:
        spent = now_ns - NS_PER_S
    spent += <uint32_t>NS_PER_S // service.unknown_rate
    if spent > now_ns:
        return False
    pulse.unknown_spent_ns = spent
    return True
