"""The way out: frames wait in an outlet until the turn's end, then go in one tx burst.

An outlet is a port's, or nobody's (NOWHERE): then its frames are freed.  What a port won't
take is freed and counted.  Frames of no service have a list of their own, which goes behind: where
the port carries less than it is given, they have what the services leave (dpdk/share).
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from cython_core.dpdk.capture cimport Capture
from cython_core.dpdk.rte cimport rte_mbuf, rte_mempool, rte_spinlock_t
from cython_core.dpdk.share cimport Share
from cython_core.proxy.synproxy cimport OUTBOX_FRAMES, Proxy

cdef enum:
    OUTLET_FRAMES = 512
    SIDE_CLIENT = 0
    SIDE_SERVER = 1
    SIDES = 2
    NOWHERE = 2                 # the way out of a frame that ends here
    WAYS_OUT = 3


cdef struct Outlet:
    uint16_t port_id
    uint16_t queue_id
    uint32_t side
    rte_spinlock_t *shared      # held while sending; NULL: the queue is this worker's alone
    Capture *capture            # of the worker, while there is one; else NULL
    uint32_t count
    uint32_t bridged_count
    Share share                 # of the bridged ones
    rte_mbuf *mbuf[OUTLET_FRAMES]
    rte_mbuf *bridged[OUTLET_FRAMES]    # of no service


# The proxy's outbox and the mbufs that lie behind its frames, index by index.
cdef struct Spares:
    rte_mempool *pool
    rte_mbuf *mbuf[OUTBOX_FRAMES]


# There must be room: see outlets_reserve.
cdef inline void outlet_put(Outlet *outlet, rte_mbuf *mbuf) noexcept nogil:
    outlet.mbuf[outlet.count] = mbuf
    outlet.count += 1


cdef inline void outlet_bridge(Outlet *outlet, rte_mbuf *mbuf) noexcept nogil:
    outlet.bridged[outlet.bridged_count] = mbuf
    outlet.bridged_count += 1


# Room for `frames` more in each of the WAYS_OUT outlets, if need be by flushing them early.
cdef void outlets_reserve(Outlet *outlets, uint32_t frames, const Proxy *proxy) noexcept nogil
cdef void outlets_flush(Outlet *outlets, const Proxy *proxy) noexcept nogil

# Give the outbox as many spare frames as it has room for and the pool can spare.
cdef void outbox_fill(Proxy *proxy, Spares *spares) noexcept nogil

# Put what the outbox holds into the ports' outlets.
cdef void outbox_empty(Proxy *proxy, Spares *spares, Outlet *outlets) noexcept nogil

# Take the spare frames back, at the end.
cdef void outbox_free(Proxy *proxy, Spares *spares) noexcept nogil
