"""ICMP errors that quote TCP: found, read, and rewritten with every checksum right."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6EchoRequest,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
)
from scapy.layers.l2 import Dot1Q, Ether
from scapy.packet import Raw

from cython_core import _testing_wire as wire

MAC = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = MAC / IP(src="203.0.113.9", dst="198.51.100.2")        # a router, to the server
V6 = MAC / IPv6(src="2001:db8::9", dst="2001:db8::2")
SEQ = 0xFFFFFFF0
SEGMENT = TCP(sport=443, dport=40000, seq=SEQ, ack=7, flags="PA") / (b"x" * 100)
QUOTED = IP(src="198.51.100.2", dst="192.0.2.1") / SEGMENT
QUOTED_V6 = IPv6(src="2001:db8::2", dst="2001:db8::1") / SEGMENT
FRAGMENTATION_NEEDED = ICMP(type=3, code=4, nexthopmtu=1300)


def quoting(error, quoted, length=None):
    return bytes(error / Raw(bytes(quoted)[:length]))


ERRORS = [
    pytest.param(V4 / FRAGMENTATION_NEEDED, QUOTED, id="fragmentation needed"),
    pytest.param(V4 / ICMP(type=3, code=1), QUOTED, id="host unreachable"),
    pytest.param(V4 / ICMP(type=11), QUOTED, id="time exceeded"),
    pytest.param(V4 / ICMP(type=12), QUOTED, id="parameter problem"),
    pytest.param(V6 / ICMPv6PacketTooBig(mtu=1300), QUOTED_V6, id="packet too big"),
    pytest.param(V6 / ICMPv6DestUnreach(), QUOTED_V6, id="unreachable, ICMPv6"),
    pytest.param(V6 / ICMPv6TimeExceeded(), QUOTED_V6, id="time exceeded, ICMPv6"),
    pytest.param(V6 / ICMPv6ParamProblem(), QUOTED_V6, id="parameter problem, ICMPv6"),
    pytest.param(
        V6 / IPv6ExtHdrHopByHop() / ICMPv6PacketTooBig(), QUOTED_V6, id="behind an extension header"
    ),
]


@pytest.mark.parametrize(("error", "quoted"), ERRORS)
def test_the_quoted_segment_is_read(error, quoted):
    frame = quoting(error, quoted)
    quote = wire.parse_quote(frame)
    assert (wire.parse(frame).kind, wire.parse(frame).fault) == ("icmp error", None)
    assert (quote.sport, quote.dport, quote.seq) == (443, 40000, SEQ)
    assert quote.l4_bytes == 120
    assert frame[quote.l4 :] == bytes(quoted[TCP])
    family = socket.AF_INET if quote.family == 4 else socket.AF_INET6
    prefix = bytes(10) + b"\xff\xff" if quote.family == 4 else b""
    assert quote.source == prefix + socket.inet_pton(family, quoted.src)
    assert quote.destination == prefix + socket.inet_pton(family, quoted.dst)


def icmp_sum(frame):
    """What the whole ICMP message sums to; 0000 where its checksum is right."""
    segment = wire.parse(frame)
    message = frame[segment.l4 : segment.l4 + segment.l4_bytes]
    start = 0
    if segment.family == 6:
        addresses = frame[segment.l3 + 8 : segment.l3 + 40]
        start = wire.checksum_pseudo(addresses, segment.l4_bytes, 58)
    return wire.checksum_field(wire.checksum_add(message, start)).hex()


@given(
    st.sampled_from([e.values for e in ERRORS]), st.integers(0, 2**32 - 1),
    st.integers(0, 120) | st.just(120),
)
def test_a_rewritten_quote_has_right_checksums(error, seq, l4_bytes):
    packet, quoted = error
    l4_bytes = max(l4_bytes, 8)
    header = 20 if IP in quoted else 40
    frame = quoting(packet, quoted, header + l4_bytes)
    assert icmp_sum(frame) == "0000"
    rewritten = wire.rewrite_quote(frame, seq)
    quote = wire.parse_quote(rewritten)
    assert (quote.seq, quote.l4_bytes) == (seq, l4_bytes)
    assert icmp_sum(rewritten) == "0000"
    if l4_bytes == 120:
        translated = quoted.copy()
        translated[TCP].seq = seq
        assert rewritten[quote.l4 :] == bytes(translated[TCP])


def test_the_same_sequence_number_changes_nothing():
    frame = quoting(V4 / FRAGMENTATION_NEEDED, QUOTED)
    assert wire.rewrite_quote(frame, SEQ) == frame


def test_nothing_but_the_sequence_number_and_checksums_is_rewritten():
    frame = quoting(V4 / FRAGMENTATION_NEEDED, QUOTED)
    quote = wire.parse_quote(frame)
    rewritten = wire.rewrite_quote(frame, 5)
    changed = {at for at in range(len(frame)) if frame[at] != rewritten[at]}
    may_change = {36, 37} | set(range(quote.l4 + 4, quote.l4 + 8)) | {quote.l4 + 16, quote.l4 + 17}
    assert changed <= may_change


def test_a_tagged_frame_is_read_as_well():
    tagged = MAC / Dot1Q(vlan=5) / V4.payload / FRAGMENTATION_NEEDED
    assert wire.parse_quote(quoting(tagged, QUOTED)).seq == SEQ


def test_a_quote_with_ip_options_is_read():
    quoted = IP(src=QUOTED.src, dst=QUOTED.dst, options=[b"\1" * 8]) / SEGMENT
    assert wire.parse_quote(quoting(V4 / FRAGMENTATION_NEEDED, quoted)).seq == SEQ


def test_a_quote_with_extension_headers_is_read():
    quoted = IPv6(src=QUOTED_V6.src, dst=QUOTED_V6.dst) / IPv6ExtHdrDestOpt() / SEGMENT
    assert wire.parse_quote(quoting(V6 / ICMPv6PacketTooBig(), quoted)).seq == SEQ


def test_a_first_fragment_that_is_quoted_is_read():
    quoted = IP(src=QUOTED.src, dst=QUOTED.dst, flags="MF") / SEGMENT
    assert wire.parse_quote(quoting(V4 / ICMP(type=11, code=1), quoted)).seq == SEQ


# RFC 4884: 32 words (IPv4) or 16 (IPv6) of quote, padded, then an extension structure.
@pytest.mark.parametrize(
    ("frame", "l4_bytes"),
    [
        (quoting(V4 / ICMP(type=11, length=32), bytes(QUOTED)[:128] + b"\x20" + bytes(7)), 108),
        (quoting(V6 / ICMPv6TimeExceeded(length=16), bytes(QUOTED_V6)[:128] + bytes(8)), 88),
        (quoting(V4 / ICMP(type=11, length=1), QUOTED), 120),
        (quoting(V4 / ICMP(type=11, length=255), QUOTED, 100), 80),
    ],
    ids=["IPv4", "IPv6", "a length that is not allowed", "a length past the message"],
)
def test_extensions_are_no_part_of_the_quote(frame, l4_bytes):
    assert wire.parse_quote(frame).l4_bytes == l4_bytes


LATER = IP(src=QUOTED.src, dst=QUOTED.dst, frag=3, proto=6) / Raw(bytes(SEGMENT))
LATER_V6 = (
    IPv6(src=QUOTED_V6.src, dst=QUOTED_V6.dst) / IPv6ExtHdrFragment(offset=4, nh=6)
    / Raw(bytes(SEGMENT))
)
MAPPED = IPv6(src="::ffff:198.51.100.2", dst="2001:db8::1") / SEGMENT


@pytest.mark.parametrize(
    "frame",
    [
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, QUOTED, 27), id="7 bytes of TCP"),
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, QUOTED, 19), id="cut IP header"),
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, b""), id="no quote"),
        pytest.param(quoting(V6 / ICMPv6PacketTooBig(), QUOTED_V6, 47), id="7 bytes, ICMPv6"),
        pytest.param(quoting(V6 / ICMPv6PacketTooBig(), QUOTED_V6, 39), id="cut IPv6 header"),
        pytest.param(quoting(V4 / ICMP(type=8), QUOTED), id="echo request"),
        pytest.param(quoting(V4 / ICMP(type=0), QUOTED), id="echo reply"),
        pytest.param(quoting(V4 / ICMP(type=5), QUOTED), id="redirect"),
        pytest.param(quoting(V6 / ICMPv6EchoRequest(), QUOTED_V6), id="echo request, ICMPv6"),
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, IP() / UDP() / b"x"), id="quotes UDP"),
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, QUOTED_V6), id="quotes IPv6 in IPv4"),
        pytest.param(quoting(V6 / ICMPv6PacketTooBig(), QUOTED), id="quotes IPv4 in IPv6"),
        pytest.param(quoting(V4 / FRAGMENTATION_NEEDED, LATER), id="quotes a later fragment"),
        pytest.param(
            quoting(V6 / ICMPv6PacketTooBig(), LATER_V6), id="quotes a later fragment, ICMPv6"
        ),
        pytest.param(
            quoting(V6 / ICMPv6PacketTooBig(), MAPPED), id="quotes what would pass for IPv4"
        ),
        pytest.param(bytes(V4 / SEGMENT), id="TCP"),
    ],
)
def test_what_quotes_no_tcp_segment_is_not_ours(frame):
    assert wire.parse_quote(frame) is None
    assert wire.parse(frame).kind in ("other", "tcp")


def test_an_error_from_a_martian_says_so():
    error = MAC / IP(src="127.0.0.1", dst="198.51.100.2") / FRAGMENTATION_NEEDED
    segment = wire.parse(quoting(error, QUOTED))
    assert (segment.kind, segment.fault) == ("icmp error", "martian")
