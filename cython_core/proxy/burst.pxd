"""The way of a burst: frames that came in one direction, stage by stage.

    parse → admit → verify → hash → match → prove → decide

Each stage is one loop over the burst.  admit finds each segment's service, drops what is
faulty and lets pass what is nobody's; only the rest take a lane, and lose it again where verify
finds a wrong checksum.  A SYN's lane computes its cookie, any other's the table hash, in the same
vector instructions.  match begins to load entries of the table, and prove computes the cookies that
ACKs of no open connection would acknowledge.  A stage begins to load what the next one asks for.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.proof cimport Proof
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.icmp cimport Quote
from cython_core.wire.segment cimport Flow, Segment
from cython_core.wire.siphash cimport SIPHASH_LANES, SIPHASH_WORDS

cdef enum:
    BURST_FRAMES = SIPHASH_LANES


# A segment of a protected service on its way through the hash.
cdef struct Lane:
    uint32_t at                 # its frame in the burst
    bint syn                    # SYN alone that meets a cookie: `offer` and `bits` are valid
    uint32_t bits               # cookie_bits of the offer; or of the cookie that an ACK has named
    const Service *service
    Flow flow
    Offer offer
    Connection *candidate       # of no SYN's: the entry that may be its flow's, or NULL
    Proof proof                 # of a client's, but no SYN's
    Quote quote                 # of an ICMP error


cdef struct Burst:
    uint32_t count              # frames; the caller sets frame, frame_bytes, room_bytes of each
    bint from_client
    bint handed                 # over by another worker
    uint32_t lanes
    uint64_t others             # bits of the frames of no service
    uint64_t unverified         # bits of the segments whose TCP checksum nobody has seen yet
    Segment segment[BURST_FRAMES]
    uint32_t route[BURST_FRAMES]        # of a segment: where its service is looked for first
    uint8_t verdict[BURST_FRAMES]
    Lane lane[BURST_FRAMES]
    uint64_t words[SIPHASH_WORDS * SIPHASH_LANES]
    uint64_t key0[SIPHASH_LANES]
    uint64_t key1[SIPHASH_LANES]
    uint64_t digest[SIPHASH_LANES]
    uint32_t inserted           # the table's, as its candidates were found
    uint32_t asked[SIPHASH_LANES]       # lanes whose ACK may prove a cookie
    uint64_t asked_digest[SIPHASH_LANES]        # of their cookies, in their order


cdef void burst_parse(Burst *burst, const Proxy *proxy) noexcept nogil
cdef void burst_admit(Burst *burst, Proxy *proxy) noexcept nogil
cdef void burst_verify(Burst *burst, Proxy *proxy) noexcept nogil
cdef void burst_hash(Burst *burst, Proxy *proxy) noexcept nogil
cdef void burst_match(Burst *burst, const Proxy *proxy) noexcept nogil
cdef void burst_prove(Burst *burst, const Proxy *proxy) noexcept nogil
cdef void burst_decide(Burst *burst, Proxy *proxy) noexcept nogil

# The lanes whose frames' bits are set in `frames` are none any more: those behind move up, with
# their digests, where they have any yet.
cdef void lanes_take_out(Burst *burst, uint64_t frames) noexcept nogil

# The frame ends here, and is counted so in this row, that of its service.
cdef void frame_drop(Burst *burst, Proxy *proxy, uint32_t at, uint32_t row,
                     uint8_t reason) noexcept nogil

# All stages.  Afterwards every frame has a verdict, has been counted once as received and
# once by its fate, and segment.frame_bytes is its length to send.
cdef void burst_run(Burst *burst, Proxy *proxy) noexcept nogil
