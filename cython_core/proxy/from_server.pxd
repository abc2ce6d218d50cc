"""What a server's segments meet.

    while it is awaited: SYN-ACK → ACK to it, window update to the client, offsets fixed
                         RST → the client is refused, in its own sequence space
                         anything else → RST, and our SYN again (it holds an older connection)
    afterwards           → translated; a repeated SYN-ACK is acknowledged again
    SYN of its own       → passes, and so does all that follows of that connection
    of no connection     → unknown; or a handshake that passes, where cookies are off

Reading list: RFC 9293 §3.10.7.3 (SYN-SENT), §3.5.2 (half-open connections); RFC 5961 §3.
"""

from libc.stdint cimport uint8_t, uint16_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# `digest` is the flow's hash, `conn` its entry or NULL.
cdef uint8_t server_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil

# Tell the client the server's window, which our SYN-ACK had kept shut, or what it may have
# missed of it; `envelope` is that of frames to the client.
cdef uint16_t window_update_compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                                    const HalfOpen *record) noexcept nogil
