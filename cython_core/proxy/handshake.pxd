"""The segments that the proxy itself says: SYN-ACK, SYN, ACK, window update, RST.

All are one thing: a TCP header without payload in an envelope.  An Envelope is how frames of
a connection are addressed below TCP, taken from a frame that came, so that what goes to the
server looks as if the client had sent it, down to hop limit and flow label.

Reading list: RFC 9293 §3.1, §3.5; RFC 7323 §2.2, §3.2; RFC 3168 §6.1.1 (ECN setup);
RFC 6864 §4.1 (an atomic datagram's identification says nothing: 0).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t

from cython_core.wire.options cimport TcpOptions
from cython_core.wire.segment cimport L2_BYTES_MAX, Flow, Segment

cdef enum:
    HOP_LIMIT_OURS = 64         # of replies to a client (IANA's recommended default, RFC 1700)
    # The longest frame we make: Ethernet and two tags, IPv6, TCP with 40 bytes of options.
    COMPOSED_BYTES_MAX = 122


cdef struct Envelope:
    uint8_t l2[L2_BYTES_MAX]    # Ethernet header and tags
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


cdef void envelope_take(Envelope *envelope, const Segment *segment) noexcept nogil

# The envelope of answers to that frame: addresses swapped, tags kept, a hop limit of ours.
cdef void envelope_reverse(Envelope *envelope) noexcept nogil

# Write the frame of `tcp` from client to server (or back) to `frame`, which has room for
# COMPOSED_BYTES_MAX.  Returns its length, padded to FRAME_BYTES_MIN.
cdef uint16_t compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                      bint to_server, const Tcp *tcp) noexcept nogil
