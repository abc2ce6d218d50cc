from cython_core.proxy.cookie cimport cookie_key_of, cookie_named, cookie_words
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words


cdef void proof_ask(Proof *proof, const Proxy *proxy, const Segment *segment, const Flow *flow,
                    const Service *service) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef uint32_t bits
    cdef Cookie cookie
    cookie_of_ack(&cookie, segment)
    bits = cookie_named(&cookie, segment.options.timestamps, service, &proxy.keys)
    cookie_words(words, 1, flow, service.tag, bits)
    proof_judge(proof, segment, siphash_words(words, cookie_key_of(&proxy.keys, bits)), bits)
