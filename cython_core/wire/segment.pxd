"""A frame, read once: the checked view that every later stage relies on.

`segment_parse` is the one door for untrusted bytes.  What it returns as KIND_TCP has all its
headers inside the frame, so no accessor fails later.  Faults that only matter where the
segment is for a protected service are kept in `fault` and judged by floor 2.

Reading list: RFC 791 §3.1, RFC 8200 §3-4, RFC 9293 §3.1, IEEE 802.1Q-2022 §9.6 (0x8100,
0x88A8).
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy
from cython_core.wire.options cimport TcpOptions

cdef enum:
    ETHERTYPE_IPV4 = 0x0800
    ETHERTYPE_IPV6 = 0x86DD
    ETHERTYPE_VLAN = 0x8100     # IEEE 802.1Q C-tag
    ETHERTYPE_QINQ = 0x88A8     # IEEE 802.1ad S-tag
    ETHERNET_BYTES = 14
    VLAN_TAGS_MAX = 2
    L2_BYTES_MAX = 22           # Ethernet and two tags
    FRAME_BYTES_MIN = 60        # IEEE 802.3 without the FCS: shorter frames are padded
    EXTENSIONS_MAX = 8          # IPv6 extension headers walked; more is a fault
    PROTOCOL_ICMP = 1
    PROTOCOL_TCP = 6
    PROTOCOL_ICMPV6 = 58
    IPV4_BYTES = 20
    IPV6_BYTES = 40
    TCP_BYTES = 20
    TCP_FIN = 0x01
    TCP_SYN = 0x02
    TCP_RST = 0x04
    TCP_PSH = 0x08
    TCP_ACK = 0x10
    TCP_URG = 0x20
    TCP_ECE = 0x40
    TCP_CWR = 0x80


# What a frame is, to whoever must decide its way.
cdef enum Kind:
    KIND_OTHER          # no TCP, or no IP: bridged
    KIND_TCP            # TCP; without a fault, a whole TCP header is in the frame
    KIND_FRAGMENT       # a fragment of a TCP datagram; addresses valid, ports are not
    KIND_ICMP_ERROR     # an error that quotes a TCP header: see wire/icmp
    # With FAULT_EXTENSION_MALFORMED the addresses are valid and nothing behind them.
    KIND_MALFORMED      # too broken to know whose it is; `fault` says how


cdef enum Fault:
    FAULT_NONE
    FAULT_FRAME_TRUNCATED       # ends inside the Ethernet header, a VLAN tag or the IP header
    FAULT_IP_MALFORMED          # version, IHL, total or payload length contradict the frame
    FAULT_IP_CHECKSUM           # IPv4 header checksum
    # A routing header with segments left, too: the destination is not the last one.
    FAULT_EXTENSION_MALFORMED   # IPv6 extension header leaves the packet, or too many of them
    FAULT_TCP_TRUNCATED         # fewer than 20 bytes of TCP
    FAULT_TCP_MALFORMED         # data offset < 5 or past the packet's end
    FAULT_TCP_OPTIONS           # options_parse refused the list
    FAULT_TCP_CHECKSUM          # set by SegmentsVerify
    FAULT_PORT_ZERO             # RFC 9293 has no port 0 (IANA: reserved)
    FAULT_LAND                  # source and destination address are the same
    FAULT_MARTIAN               # an address that is no single host's: see wire/ip


# Who talks to whom, as client and server; IPv4 addresses lie in the last 4 of 16 bytes,
# behind the prefix ::ffff:0:0/96 (RFC 4291 §2.5.5.2), so one layout serves both families.
cdef struct Flow:
    uint8_t client_address[16]
    uint8_t server_address[16]
    uint16_t client_port        # host order
    uint16_t server_port


# It has a name in C, too, for the declarations of the variants.
cdef struct Segment "SynproxySegment":
    uint8_t *frame              # the first byte of the Ethernet header
    uint16_t frame_bytes        # as received; may hold Ethernet padding behind the packet
    uint16_t room_bytes         # how long the frame may grow in its buffer
    uint8_t kind                # a Kind
    uint8_t fault               # a Fault
    uint8_t family              # 4 or 6
    uint8_t flags               # TCP_FIN..TCP_CWR
    uint16_t l3                 # offset of the IP header
    uint16_t l4                 # offset of the TCP (or ICMP) header
    uint16_t payload            # offset of the TCP payload
    uint16_t payload_bytes      # without Ethernet padding
    uint16_t l4_bytes           # TCP header and payload, by the IP header's length
    uint16_t sport
    uint16_t dport
    uint16_t window             # as on the wire, unscaled
    uint32_t seq
    uint32_t ack
    TcpOptions options
    uint8_t source[16]          # as in Flow
    uint8_t destination[16]


# Reads segment.frame[0..frame_bytes) and fills everything else; returns segment.kind.  The
# IPv4 header checksum is checked here, the TCP checksum by SegmentsVerify.
cdef uint8_t segment_parse(Segment *segment) noexcept nogil


# Of the segments whose bits are set in `which`, those whose TCP checksum is wrong; they get
# FAULT_TCP_CHECKSUM.
ctypedef uint64_t (*SegmentsVerify)(Segment *segments, uint64_t which) noexcept nogil

# By width (wire/widths).
cdef SegmentsVerify segments_verify(uint32_t width) noexcept nogil


# A SYN-ACK that agrees to ECN: RFC 3168 §6.1.1.
cdef inline bint segment_takes_ecn(const Segment *segment) noexcept nogil:
    return segment.flags & (TCP_ECE | TCP_CWR) == TCP_ECE

# ACK alone, of the flags that open or end.
cdef inline bint segment_is_plain_ack(const Segment *segment) noexcept nogil:
    return segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK) == TCP_ACK

# SEG.LEN of RFC 9293 §3.3.1: payload, and one each for SYN and FIN.
cdef inline uint32_t segment_length(const Segment *segment) noexcept nogil:
    return (<uint32_t>segment.payload_bytes + ((segment.flags & TCP_SYN) >> 1)
            + (segment.flags & TCP_FIN))


# The flow of a segment that a client sent (from_client), or that a server sent.
cdef inline void segment_flow(const Segment *segment, bint from_client, Flow *flow) noexcept nogil:
    if from_client:
        memcpy(flow.client_address, segment.source, 16)
        memcpy(flow.server_address, segment.destination, 16)
        flow.client_port = segment.sport
        flow.server_port = segment.dport
    else:
        memcpy(flow.client_address, segment.destination, 16)
        memcpy(flow.server_address, segment.source, 16)
        flow.client_port = segment.dport
        flow.server_port = segment.sport
