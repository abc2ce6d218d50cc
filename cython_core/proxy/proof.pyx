from cython_core.proxy.cookie cimport cookie_check
from cython_core.wire.segment cimport segment_is_plain_ack


cdef void proof_ask(Proof *proof, const Proxy *proxy, const Segment *segment, const Flow *flow,
                    const Service *service) noexcept nogil:
    cdef Cookie cookie
    cdef bint timestamps = segment.options.timestamps
    cookie_of_ack(&cookie, segment)
    proof.state = PROOF_VALID
    proof.client_isn = segment.seq - 1
    if cookie_check(&cookie, timestamps, flow, segment.family, proof.client_isn, service,
                    &proxy.keys, &proof.offer):
        return
    proof.client_isn = segment.seq
    if segment.payload_bytes == 0 and segment_is_plain_ack(segment) and cookie_check(
            &cookie, timestamps, flow, segment.family, proof.client_isn, service, &proxy.keys,
            &proof.offer):
        return
    proof.state = PROOF_INVALID
