"""What a client's segments meet.

    SYN                     → SYN-ACK with a cookie; no state, and never through an old entry
    ACK of no connection    → cookie checked; an entry, and a SYN to the server
    while the server is awaited → absorbed; a RST gives up
    afterwards              → translated; an ACK out of window may prove a newer handshake

Reading list: RFC 9293 §3.10; RFC 5961 §3 (RST in window).
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# Turn a SYN into its SYN-ACK.  `offer` is cookie_offer's, `bits` cookie_bits' in the current
# epoch, `mac` the digest over both.
cdef uint8_t client_syn(Proxy *proxy, Segment *segment, const Flow *flow, const Service *service,
                        const Offer *offer, uint32_t bits, uint64_t mac) noexcept nogil

# Any other segment; `digest` is the flow's hash, `conn` its entry or NULL.
cdef uint8_t client_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil
