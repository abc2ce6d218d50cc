"""How a client's connection begins: from its SYN to our SYN to the server, and how it fails.

    SYN                     → SYN-ACK with a cookie; no state, and never through an old entry
    ACK of no connection    → cookie checked; an entry, and a SYN to the server
    while the server is awaited → early data waits, the rest is absorbed; a RST gives up
    after a refusal         → the RST said again
    an ACK that proves a newer handshake → the old connection makes room

Reading list: RFC 4987 §3.6; RFC 9293 §3.10.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.proof cimport Proof
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# Turn a SYN into its SYN-ACK.  `offer` is cookie_offer's, `bits` cookie_bits' in the current
# epoch, `digest` the cookie's.
cdef uint8_t client_syn(Proxy *proxy, Segment *segment, const Flow *flow, const Service *service,
                        const Offer *offer, uint32_t bits, uint64_t digest) noexcept nogil

# A segment of no connection in the table.  `proof`, here and below, is what the burst has asked.
cdef uint8_t client_stranger(Proxy *proxy, Segment *segment, const Flow *flow,
                             const Service *service, uint64_t digest,
                             Proof *proof) noexcept nogil

# A segment of one in STATE_SYN_SENT, or in STATE_REFUSED.
cdef uint8_t client_while_server_awaited(Proxy *proxy, Segment *segment, const Flow *flow,
                                         const Service *service, Connection *conn,
                                         Proof *proof) noexcept nogil
cdef uint8_t client_refused(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            Proof *proof) noexcept nogil

# The same ports again: if the ACK proves a new handshake, it replaces the old connection,
# whose server side gets a RST first.  Else `otherwise`.
cdef uint8_t client_reopens(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn, Proof *proof,
                            uint8_t otherwise) noexcept nogil
