"""What a client's ACK proves: that it has seen a cookie of ours.

Two readings are tried: the third ACK, and a window probe, whose SEQ is the client's ISN itself (a
client whose ACK was lost probes our zero window from one byte before: G5).  Whoever forges ACKs
costs us both, so a burst asks for all of its lanes at once (burst_prove); what it didn't ask, one
segment asks for itself.  The answer depends on no state but the keys.
"""

from libc.stdint cimport uint8_t, uint32_t

from cython_core.proxy.cookie cimport Cookie, Offer
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment


cdef enum ProofState:
    PROOF_OPEN                  # nobody has asked
    PROOF_VALID
    PROOF_INVALID


cdef struct Proof:
    uint8_t state               # a ProofState
    uint32_t client_isn         # where valid
    Offer offer                 # likewise: what the client had offered


# The cookie that an ACK would acknowledge.
cdef inline void cookie_of_ack(Cookie *cookie, const Segment *segment) noexcept nogil:
    cookie.isn = segment.ack - 1
    cookie.tsval = segment.options.tsecr


# Of a segment with ACK; asks if nobody has.
cdef inline bint proof_holds(Proof *proof, const Proxy *proxy, const Segment *segment,
                             const Flow *flow, const Service *service) noexcept nogil:
    if proof.state == PROOF_OPEN:
        proof_ask(proof, proxy, segment, flow, service)
    return proof.state == PROOF_VALID

cdef void proof_ask(Proof *proof, const Proxy *proxy, const Segment *segment, const Flow *flow,
                    const Service *service) noexcept nogil
