"""The segments that the proxy itself says: SYN-ACK, SYN, ACK, window update, RST.

All are one thing: a TCP header without payload in an envelope.  An Envelope is how frames of
a connection are addressed below TCP, taken from a frame that came, so that what goes to the
server looks as if the client had sent it, down to hop limit and flow label.

Reading list: RFC 9293 §3.1, §3.5; RFC 7323 §2.2, §3.2; RFC 3168 §6.1.1 (ECN setup);
RFC 6864 §4.1 (an atomic datagram's identification says nothing: 0).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy

from cython_core.wire.options cimport TcpOptions
from cython_core.wire.byteorder cimport load16, load32
from cython_core.wire.segment cimport Flow, Segment

cdef enum:
    HOP_LIMIT_OURS = 64         # of replies to a client (IANA's recommended default, RFC 1700)
    # The longest frame we make: Ethernet and two tags, IPv6, TCP with 40 bytes of options.
    COMPOSED_BYTES_MAX = 122
    L2_WORDS = 3                # of 8 bytes: L2_BYTES_MAX fits


cdef struct Envelope:
    # Ethernet header and tags, as they lie; in words, since the CPU forwards to a load only what
    # one store has written.
    uint64_t l2[L2_WORDS]
    uint8_t l2_bytes
    uint8_t family              # 4 or 6
    uint8_t hop_limit           # TTL or hop limit
    uint8_t traffic_class       # DSCP; the ECN bits are cleared (RFC 3168 §6.1.1)
    uint32_t flow_label         # IPv6, 20 bits


# What a composed segment says.
cdef struct Tcp:
    uint32_t seq
    uint32_t ack
    uint16_t window             # as on the wire
    uint8_t flags
    TcpOptions options          # mss, sack_permitted, timestamps, wscale as options_write has


cdef inline void envelope_take(Envelope *envelope, const Segment *segment) noexcept nogil:
    cdef const uint8_t *ip = segment.frame + segment.l3
    envelope.l2_bytes = <uint8_t>segment.l3
    memcpy(envelope.l2, segment.frame, 8)
    memcpy(envelope.l2 + 1, segment.frame + 8, 8)
    memcpy(envelope.l2 + 2, segment.frame + 16, 8)
    envelope.family = segment.family
    if segment.family == 4:
        envelope.traffic_class = ip[1] & 0xFC
        envelope.hop_limit = ip[8]
        envelope.flow_label = 0
    else:
        envelope.traffic_class = (load16(ip) >> 4) & 0xFC
        envelope.hop_limit = ip[7]
        envelope.flow_label = load32(ip) & 0xFFFFF


# The envelope of answers to that frame: addresses swapped, tags kept, a hop limit of ours.
# Two words hold | destination 6 | source 6 | 4 more bytes | from their low end.
cdef inline void envelope_reverse(Envelope *envelope) noexcept nogil:
    cdef uint64_t first = envelope.l2[0]
    cdef uint64_t second = envelope.l2[1]
    envelope.l2[0] = first >> 48 | <uint64_t><uint32_t>second << 16 | first << 48
    envelope.l2[1] = <uint32_t>(first >> 16) | second >> 32 << 32
    envelope.hop_limit = HOP_LIMIT_OURS


# How long an answer is to a frame of `asked` bytes that says no less: padded no further than that
# one was, since virtual interfaces have frames that are shorter than any on a wire.
cdef inline uint16_t answer_bytes(uint16_t asked, uint16_t composed) noexcept nogil:
    return composed if composed < asked else asked


# Write the frame of `tcp` from client to server (or back) to `frame`, which has room for
# COMPOSED_BYTES_MAX.  Returns its length, padded to FRAME_BYTES_MIN.
cdef uint16_t compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                      bint to_server, const Tcp *tcp) noexcept nogil

# Write a RST with that sequence number, likewise.
cdef uint16_t rst_compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                          bint to_server, uint32_t seq) noexcept nogil
