"""A connection that an operator ends: both ends hear a RST, in the numbers that each expects.

What an idle end expects next is what it has acknowledged last, so that its RST can go out at once.
An end that has more by then takes no such RST, or challenges it (RFC 5961 §3.2): so the entry stays
for the service's `closed` timeout, and whatever an end still sends is answered by the RST that it
asks for, SEQ being what the segment acknowledges (RFC 9293 §3.5.3, group 1).  That is also how ends
hear of it whose link addresses aren't known (proxy/links).
"""

from libc.stdint cimport uint8_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.proof cimport Proof
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

cdef enum:
    DELETION_FRAMES = 2         # that one may put into the outbox

# End the flow's connection; `was` is its entry before.  False: it has none, or it has ended.
cdef bint connection_delete(Proxy *proxy, const Flow *flow, Connection *was) noexcept nogil

# A segment of one that was deleted.
cdef uint8_t client_deleted(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            Proof *proof) noexcept nogil
cdef uint8_t server_deleted(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil
