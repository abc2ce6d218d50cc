"""What a server's segments meet.

    while it is awaited  → answering: how it takes our SYN
    afterwards           → translated; a repeated SYN-ACK is acknowledged again
    SYN of its own       → passes, and so does all that follows of that connection
    of no connection     → unknown; or a handshake that passes, where cookies are off

Reading list: RFC 9293 §3.10; RFC 5961 §3 (RST in window).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# `digest` is the flow's hash, `conn` its entry or NULL.
cdef uint8_t server_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil
