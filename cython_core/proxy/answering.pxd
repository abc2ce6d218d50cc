"""How a server takes our SYN, and what its answer fixes for the connection's life.

    SYN-ACK        → ACK to it, window update to the client, offsets and scales fixed
    RST            → the client is refused, in its own sequence space
    anything else  → RST, and our SYN again: it holds an older connection
    too late       → RST: the client has gone
    SYN-ACK again  → our ACK again

Reading list: RFC 9293 §3.10.7.3 (SYN-SENT), §3.5.2 (half-open connections); RFC 7323 §2.2.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# A segment of a server in STATE_SYN_SENT.
cdef uint8_t server_answers(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn) noexcept nogil

# A segment of one in STATE_REFUSED.
cdef uint8_t server_comes_late(Proxy *proxy, Segment *segment, const Flow *flow,
                               const Service *service) noexcept nogil

# A hard ICMP error from the server's side that quotes a client's segment: about our SYN it ends the
# connection, else it passes.  `conn` may be NULL.
cdef uint8_t server_unreachable(Proxy *proxy, Segment *segment, uint32_t quoted_seq,
                                const Service *service, Connection *conn) noexcept nogil

# A SYN-ACK in any later state.
cdef uint8_t server_repeats_synack(Proxy *proxy, Segment *segment, const Flow *flow,
                                   const Service *service, Connection *conn) noexcept nogil

# Tell the client the server's window, which our SYN-ACK had kept shut, or what it may have
# missed of it; `envelope` is that of frames to the client.
cdef uint16_t window_update_compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                                    const HalfOpen *record) noexcept nogil
