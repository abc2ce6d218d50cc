"""What a client's segments meet, once its SYN is behind it.

    of no connection        → opening: a cookie, or a connection that is not known
    while the server is awaited → opening
    of a connection that passes → untouched
    of one that was deleted → a RST
    afterwards              → translated; an ACK out of window may prove a newer handshake

Reading list: RFC 9293 §3.10; RFC 5961 §3 (RST in window).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.proof cimport Proof
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# Any segment but a SYN that is answered with a cookie; `digest` is the flow's hash, `conn` its
# entry or NULL, `proof` what its burst has asked.
cdef uint8_t client_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest, Connection *conn,
                            Proof *proof) noexcept nogil

# Early data of a connection that is established now, into spare frames.  False where these ran
# out; what is left stays in the queue.
cdef bint client_early_deliver(Proxy *proxy, HalfOpen *record, Connection *conn) noexcept nogil
