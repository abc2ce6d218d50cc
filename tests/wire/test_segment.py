"""Frames to segments: each template, and what one difference makes of it."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH, ESP
from scapy.layers.l2 import ARP, LLC, Dot1AD, Dot1Q, Dot3, Ether
from scapy.packet import NoPayload, Raw

from cython_core import _testing_wire as wire
from cython_core.wire import vector as vectors

MAC = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SYN_OPTIONS = [
    ("MSS", 1460), ("SAckOK", b""), ("Timestamp", (0xFFFFFFFE, 0)), ("NOP", None), ("WScale", 7),
]
SYN = TCP(sport=40000, dport=443, seq=0xFFFFFFFF, flags="S", window=64240, options=SYN_OPTIONS)
DATA = TCP(sport=40000, dport=443, seq=0xFFFFFFF0, ack=0x10, flags="PA", window=501) / b"hello"


def frame(*layers):
    packet = NoPayload()
    for layer in reversed(layers):
        packet = layer / packet
    return bytes(packet)


def patched(data, at, text):
    new = bytes.fromhex(text)
    return data[:at] + new + data[at + len(new) :]


def mended(data):
    """With the checksum that the IPv4 header behind an untagged Ethernet header should have."""
    end = 14 + 4 * (data[14] & 0x0F)
    zeroed = patched(data, 24, "0000")
    return patched(zeroed, 24, wire.checksum_field(wire.checksum_add(zeroed[14:end])).hex())


def mapped(address):
    return bytes(10) + b"\xff\xff" + socket.inet_aton(address)


V4_SYN = frame(MAC, V4, SYN)
V6_SYN = frame(MAC, V6, SYN)


def test_every_field_of_a_syn_is_read():
    syn = wire.parse(V4_SYN)
    assert (syn.kind, syn.fault, syn.family) == ("tcp", None, 4)
    assert (syn.l3, syn.l4, syn.payload) == (14, 34, 74)
    assert (syn.payload_bytes, syn.l4_bytes, syn.length) == (0, 40, 1)
    assert (syn.sport, syn.dport, syn.window, syn.flags) == (40000, 443, 64240, 0x02)
    assert (syn.seq, syn.ack) == (0xFFFFFFFF, 0)
    assert (syn.options.mss, syn.options.wscale) == (1460, 7)
    assert syn.options.sack_permitted
    assert (syn.options.tsval, syn.options.tsecr) == (0xFFFFFFFE, 0)
    assert syn.source == mapped("192.0.2.1")
    assert syn.destination == mapped("198.51.100.2")


def test_every_field_of_a_data_segment_over_ipv6_is_read():
    data = wire.parse(frame(MAC, V6, DATA))
    assert (data.kind, data.fault, data.family) == ("tcp", None, 6)
    assert (data.l3, data.l4, data.payload) == (14, 54, 74)
    assert (data.payload_bytes, data.l4_bytes, data.length) == (5, 25, 5)
    assert (data.seq, data.ack, data.flags) == (0xFFFFFFF0, 0x10, 0x18)
    assert data.source == socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    assert data.destination == socket.inet_pton(socket.AF_INET6, "2001:db8::2")


@pytest.mark.parametrize(("flags", "length"), [("S", 6), ("FA", 6), ("SF", 7), ("A", 5), ("R", 5)])
def test_syn_and_fin_count_in_the_segments_length(flags, length):
    assert wire.parse(frame(MAC, V4, TCP(flags=flags), Raw(b"hello"))).length == length


@pytest.mark.parametrize(
    ("tags", "l3"),
    [
        ([Dot1Q(vlan=5)], 18),
        ([Dot1AD(vlan=5)], 18),
        ([Dot1AD(vlan=5), Dot1Q(vlan=6)], 22),
        ([Dot1Q(vlan=5), Dot1Q(vlan=6)], 22),
    ],
)
@pytest.mark.parametrize("ip", [V4, V6], ids=["ipv4", "ipv6"])
def test_up_to_two_tags_are_stepped_over(tags, l3, ip):
    syn = wire.parse(frame(MAC, *tags, ip, SYN))
    assert (syn.kind, syn.fault, syn.l3, syn.dport) == ("tcp", None, l3, 443)


def test_ipv4_options_are_stepped_over():
    syn = wire.parse(frame(MAC, IP(src=V4.src, dst=V4.dst, options=[b"\x94\x04\x00\x00"]), SYN))
    assert (syn.kind, syn.fault, syn.l4, syn.dport) == ("tcp", None, 38, 443)


HOP = IPv6ExtHdrHopByHop()
DESTINATION = IPv6ExtHdrDestOpt()
ROUTED = IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=0)
ATOMIC = IPv6ExtHdrFragment(offset=0, m=0, id=1)
AUTHENTICATED = AH(nh=6, payloadlen=4, icv=b"x" * 12)


@pytest.mark.parametrize(
    ("chain", "l4"),
    [
        pytest.param([HOP], 62, id="hop-by-hop"),
        pytest.param([DESTINATION], 62, id="destination options"),
        pytest.param([ROUTED], 78, id="routing, no segments left"),
        pytest.param([ATOMIC], 62, id="atomic fragment"),
        pytest.param([AUTHENTICATED], 78, id="authentication"),
        pytest.param([HOP, DESTINATION, ROUTED, ATOMIC, DESTINATION], 110, id="a long chain"),
        pytest.param([HOP] * wire.EXTENSIONS_MAX, 54 + 8 * wire.EXTENSIONS_MAX, id="the longest"),
    ],
)
def test_extension_headers_are_walked(chain, l4):
    syn = wire.parse(frame(MAC, V6, *chain, SYN))
    assert (syn.kind, syn.fault, syn.l4, syn.dport) == ("tcp", None, l4, 443)


@pytest.mark.parametrize("syn", [V4_SYN, V6_SYN], ids=["ipv4", "ipv6"])
def test_ethernet_padding_is_not_payload(syn):
    padded = wire.parse(syn + bytes(20))
    assert (padded.kind, padded.fault, padded.payload_bytes) == ("tcp", None, 0)
    assert wire.verify(syn + b"\xa5" * 20) == (True, None)


def agree_on_checksums(vector, ip, payload, seq):
    data = frame(MAC, ip, TCP(seq=seq, flags="A"), Raw(payload))
    assert wire.verify(data, vector) == (True, None)
    assert wire.verify(data[:-1] + bytes([data[-1] ^ 0x40]), vector) == (False, "tcp checksum")


@pytest.mark.parametrize("vector", vectors.VECTORS)
@given(ip=st.sampled_from([V4, V6]), payload=st.binary(max_size=1460),
       seq=st.integers(0, 2**32 - 1))
def test_scapy_and_we_agree_on_checksums(vector, ip, payload, seq):
    agree_on_checksums(vector, ip, payload, seq)


@pytest.mark.parametrize("vector", vectors.VECTORS)
def test_every_length_around_the_vectors_width_is_verified_whole(vector):
    for length in (*range(1, 300), 1459, 1460):
        agree_on_checksums(vector, V4, bytes(255 - at % 7 for at in range(length)), length)


def test_the_flow_is_named_from_either_side():
    from_client = wire.flow(V4_SYN, True)
    answer = frame(MAC, IP(src=V4.dst, dst=V4.src), TCP(sport=443, dport=40000, flags="SA"))
    assert wire.flow(answer, False) == from_client
    assert from_client.client_address == mapped("192.0.2.1")
    assert (from_client.client_port, from_client.server_port) == (40000, 443)


# Not TCP ----------------------------------------------------------------------------------------

@pytest.mark.parametrize(
    "other",
    [
        pytest.param(frame(MAC, ARP()), id="ARP"),
        pytest.param(frame(MAC, V4, UDP(), Raw(b"x")), id="UDP"),
        pytest.param(frame(MAC, V6, UDP(), Raw(b"x")), id="UDP over IPv6"),
        pytest.param(frame(MAC, V6, HOP, UDP()), id="UDP behind an extension header"),
        pytest.param(frame(MAC, V4, ICMP()), id="echo request"),
        pytest.param(frame(MAC, V6, ICMPv6EchoRequest()), id="echo request of ICMPv6"),
        pytest.param(frame(MAC, IP(src=V4.src, dst=V4.dst, flags="MF"), UDP()), id="UDP fragment"),
        pytest.param(frame(MAC, IP(src="0.0.0.0", dst="255.255.255.255"), UDP()), id="DHCP"),
        pytest.param(frame(MAC, IPv6(src="::", dst="ff02::1"), ICMPv6EchoRequest()), id="from ::"),
        pytest.param(frame(MAC, IPv6(src=V6.src, dst=V6.dst, nh=59)), id="no next header"),
        pytest.param(frame(MAC, V6, ESP(spi=1, seq=1, data=b"x" * 40)), id="ESP"),
        pytest.param(bytes(Dot3(src=MAC.src, dst=MAC.dst) / LLC() / b"x"), id="802.3 length"),
        pytest.param(frame(MAC, Dot1Q(), Dot1Q(), Dot1Q(), V4, SYN), id="three tags"),
        pytest.param(patched(V4_SYN, 12, "9100"), id="0x9100"),
        pytest.param(patched(V4_SYN, 12, "0000"), id="EtherType 0"),
        pytest.param(mended(patched(V4_SYN, 23, "3a")), id="ICMPv6 in IPv4"),
        pytest.param(patched(V6_SYN, 20, "01"), id="ICMPv4 in IPv6"),
    ],
)
def test_what_is_not_tcp_is_other_and_has_no_fault(other):
    segment = wire.parse(other)
    assert (segment.kind, segment.fault) == ("other", None)


@pytest.mark.parametrize(
    "piece",
    [
        pytest.param(frame(MAC, IP(src=V4.src, dst=V4.dst, flags="MF"), SYN), id="first"),
        pytest.param(
            frame(MAC, IP(src=V4.src, dst=V4.dst, frag=3, proto=6), Raw(b"x" * 8)), id="last"
        ),
        pytest.param(frame(MAC, V6, IPv6ExtHdrFragment(m=1), SYN), id="IPv6, first"),
        pytest.param(frame(MAC, V6, IPv6ExtHdrFragment(offset=9, nh=6), Raw(b"x")), id="IPv6"),
        pytest.param(
            frame(MAC, V6, HOP, IPv6ExtHdrFragment(m=1), DESTINATION, SYN), id="IPv6, in a chain"
        ),
    ],
)
def test_a_piece_of_a_tcp_datagram_is_a_fragment_with_addresses(piece):
    segment = wire.parse(piece)
    assert (segment.kind, segment.fault) == ("fragment", None)
    assert (segment.sport, segment.dport) == (0, 0)
    assert any(segment.source)
    assert any(segment.destination)


def test_the_next_header_of_a_later_fragment_is_not_walked():
    piece = frame(MAC, V6, IPv6ExtHdrFragment(offset=9, nh=60), Raw(bytes.fromhex("06ff")))
    assert wire.parse(piece).kind == "other"


# Malformed --------------------------------------------------------------------------------------

def with_tcp(at, text):
    return patched(V4_SYN, 34 + at, text)


def with_ip(at, text):
    return mended(patched(V4_SYN, 14 + at, text))


def shorter(l4_bytes):
    """The SYN under an IP header that says that only so much of TCP is there."""
    return with_ip(2, f"{20 + l4_bytes:04x}")


CHAIN = frame(MAC, V6, DESTINATION, SYN)

MALFORMED = [
    ("empty", b"", "malformed", "frame truncated"),
    ("inside the MAC addresses", V4_SYN[:11], "malformed", "frame truncated"),
    ("inside the EtherType", V4_SYN[:13], "malformed", "frame truncated"),
    ("inside a tag", frame(MAC, Dot1Q(), V4, SYN)[:17], "malformed", "frame truncated"),
    ("inside a second tag", frame(MAC, Dot1AD(), Dot1Q(), V4, SYN)[:20], "malformed",
     "frame truncated"),
    ("inside the IPv4 header", V4_SYN[:33], "malformed", "frame truncated"),
    ("inside the IPv6 header", V6_SYN[:53], "malformed", "frame truncated"),
    ("IHL past the frame", mended(patched(V4_SYN[:34], 14, "46")), "malformed", "frame truncated"),
    ("version 5", with_ip(0, "55"), "malformed", "ip malformed"),
    ("IPv6 under IPv4's EtherType", patched(V6_SYN, 12, "0800"), "malformed", "ip malformed"),
    ("IPv4 under IPv6's EtherType", patched(V4_SYN, 12, "86dd"), "malformed", "ip malformed"),
    ("IHL 4", patched(V4_SYN, 14, "44"), "malformed", "ip malformed"),
    ("total length 0", with_ip(2, "0000"), "malformed", "ip malformed"),
    ("total length 19", with_ip(2, "0013"), "malformed", "ip malformed"),
    ("total length past the frame", with_ip(2, "003d"), "malformed", "ip malformed"),
    ("payload length past the frame", patched(V6_SYN, 18, "0029"), "malformed", "ip malformed"),
    ("IPv4 header checksum", patched(V4_SYN, 24, "dead"), "tcp", "ip checksum"),
    ("extension past the packet", patched(CHAIN, 55, "ff"), "malformed", "extension malformed"),
    ("packet ends in an extension", patched(CHAIN, 18, "0007"), "malformed", "extension malformed"),
    ("a jumbogram", patched(CHAIN, 18, "0000"), "malformed", "extension malformed"),
    ("one extension too many", frame(MAC, V6, *[HOP] * (wire.EXTENSIONS_MAX + 1), SYN),
     "malformed", "extension malformed"),
    ("first fragment without all headers",
     frame(MAC, V6, IPv6ExtHdrFragment(m=1), Raw(bytes.fromhex("0604000000000000"))),
     "other", None),
    ("first fragment ends in its chain",
     frame(MAC, V6, IPv6ExtHdrFragment(m=1, nh=60), Raw(bytes.fromhex("0604000000000000"))),
     "malformed", "extension malformed"),
    ("routing header with segments left",
     frame(MAC, V6, IPv6ExtHdrRouting(addresses=["2001:db8::9"]), SYN),
     "tcp", "extension malformed"),
    ("IPv6 without payload", patched(V6_SYN, 18, "0000"), "tcp", "tcp truncated"),
    ("no TCP at all", shorter(0), "tcp", "tcp truncated"),
    ("half a port", shorter(3), "tcp", "tcp truncated"),
    ("19 bytes of TCP", shorter(19), "tcp", "tcp truncated"),
    ("data offset 4", with_tcp(12, "40"), "tcp", "tcp malformed"),
    ("data offset past the packet", with_tcp(12, "b0"), "tcp", "tcp malformed"),
    ("option length 0", with_tcp(20, "0200"), "tcp", "tcp options"),
    ("option past the header", with_tcp(36, "01010103"), "tcp", "tcp options"),
    ("source port 0", with_tcp(0, "0000"), "tcp", "port zero"),
    ("destination port 0", with_tcp(2, "0000"), "tcp", "port zero"),
]


@pytest.mark.parametrize(
    ("data", "kind", "fault"), [row[1:] for row in MALFORMED], ids=[row[0] for row in MALFORMED]
)
def test_a_malformed_frame_is_named(data, kind, fault):
    segment = wire.parse(data)
    assert (segment.kind, segment.fault) == (kind, fault)


@pytest.mark.parametrize("l4_bytes", [4, 8, 19])
def test_a_truncated_tcp_header_still_has_ports_and_addresses(l4_bytes):
    segment = wire.parse(shorter(l4_bytes))
    assert (segment.sport, segment.dport) == (40000, 443)
    assert segment.destination == mapped("198.51.100.2")


@pytest.mark.parametrize("data", [with_tcp(12, "40"), with_tcp(20, "0200"), with_tcp(0, "0000")])
def test_a_fault_of_tcp_leaves_addresses_and_ports(data):
    segment = wire.parse(data)
    assert segment.dport == 443
    assert segment.source == mapped("192.0.2.1")


def test_a_bad_extension_chain_leaves_the_addresses():
    segment = wire.parse(patched(CHAIN, 55, "ff"))
    assert segment.destination == socket.inet_pton(socket.AF_INET6, V6.dst)
