"""What a client's ACK proves: that it has seen a cookie of ours.

Two readings are tried: the third ACK, and a window probe, whose SEQ is the client's ISN itself (a
client whose ACK was lost probes our zero window from one byte before: G5).  Both come of one
digest, so that an ACK which proves nothing costs two hashes, the table's and this one; a burst asks
for all of its lanes at once (burst_prove), and what it didn't ask, one segment asks for itself.
The answer depends on no state but the keys.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.cookie cimport (
    Cookie, Offer, cookie_agrees, cookie_mac, cookie_read,
)
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment, segment_is_plain_ack


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

# By the digest of its flow and of the bits that its cookie names.
cdef inline void proof_judge(Proof *proof, const Segment *segment, uint64_t digest,
                             uint32_t bits) noexcept nogil:
    cdef Cookie cookie
    cookie_of_ack(&cookie, segment)
    proof.state = PROOF_VALID
    proof.client_isn = segment.seq - 1
    if not cookie_agrees(&cookie, cookie_mac(digest, proof.client_isn), bits):
        proof.client_isn = segment.seq
        if (segment.payload_bytes > 0 or not segment_is_plain_ack(segment)
                or not cookie_agrees(&cookie, cookie_mac(digest, proof.client_isn), bits)):
            proof.state = PROOF_INVALID
            return
    cookie_read(bits, segment.family, &proof.offer)

# Of a segment with ACK; asks if nobody has.
cdef inline bint proof_holds(Proof *proof, const Proxy *proxy, const Segment *segment,
                             const Flow *flow, const Service *service) noexcept nogil:
    if proof.state == PROOF_OPEN:
        proof_ask(proof, proxy, segment, flow, service)
    return proof.state == PROOF_VALID

cdef void proof_ask(Proof *proof, const Proxy *proxy, const Segment *segment, const Flow *flow,
                    const Service *service) noexcept nogil
