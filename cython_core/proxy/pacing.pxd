"""When a proven client's first SYN goes to its server: `pacing` of its service.

Each server, an address and a port, gets `rate` of them a second and `burst` at once, from one
worker; those beyond wait here, in the order in which they came, for `wait` at most.  It is of each
server and not of the service, for it is the server that is to be spared: what one can take says
nothing of how many stand in a prefix, and a herd at one of them must not keep those of the others.

    it may go at once       nobody waits, and the server's gate (proxy/gate) is open
    it waits                its client's data is held, or its window shut, as for any server that is
                            awaited; its record is armed for nothing, and stands in the server's
                            queue.  Its turn is when the gate lets it: exact to a turn of the worker
    it is refused           its turn would come too late, as things stand, half of the records wait
                            already, or no place is left to remember its server.  Dropped by name,
                            as what is beyond a bound (proxy/bounds): its client says it again, and
                            its cookie is good for a minute at least
    it is given up          its turn has not come after all, as the rate has been lowered or the
                            worker held: its client is told as by a silent server

What is said again is not paced: a record that has had its turn goes by the back-off alone.  Rate
and burst count from the next turn on, whoever waits already, and so does `wait`; a rate of 0, or a
service that is no more, lets them go at once.  SYNs that pass while cookies are off are none of
ours, and are not paced.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.counters cimport PACING_FULL
from cython_core.proxy.pacers cimport PACER_NONE
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport VERDICT_NONE, Proxy
from cython_core.wire.segment cimport Flow

cdef enum:
    PACING_A_STEP = 16          # records that go, or are given up, in one step of the timers


# The place of the flow's server, or PACER_NONE: nobody is to find one.
cdef uint32_t pacing_place(Proxy *proxy, const Flow *flow, uint64_t now_ns) noexcept nogil

# Whether a new connection may have a turn in time, at that place.  Nothing is spent yet.
cdef bint pacing_takes(const Proxy *proxy, const Service *service, uint32_t place) noexcept nogil

# VERDICT_NONE: it may open, at `place` (PACER_NONE: its service paces nothing).  Else the reason to
# drop it.
cdef inline uint8_t pacing_ask(Proxy *proxy, const Flow *flow, const Service *service,
                               uint32_t *place) noexcept nogil:
    place[0] = PACER_NONE
    if service.pacing_rate == 0:
        return VERDICT_NONE
    place[0] = pacing_place(proxy, flow, proxy.now_ns)
    if not pacing_takes(proxy, service, place[0]):
        return PACING_FULL
    return VERDICT_NONE

# Whether it has to wait there.  If not, it has had its turn.
cdef bint pacing_holds(Proxy *proxy, const Service *service, uint32_t place) noexcept nogil

# A bounded step: those whose turn has come.  Returns how many it was.
cdef uint32_t pacing_tend(Proxy *proxy) noexcept nogil
