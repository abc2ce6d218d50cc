"""Frames cut and mutated: nothing is read past the end, nothing is believed that isn't there.

The doors put the frame's end before a page that can't be read, so reading past it crashes.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP
from scapy.layers.inet6 import (
    ICMPv6PacketTooBig,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether

from cython_core import _testing_wire as wire

MAC = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
V4 = IP(src="192.0.2.1", dst="198.51.100.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")
SYN = TCP(
    sport=40000, dport=443, seq=0xFFFFFFFF, flags="S",
    options=[("MSS", 1460), ("SAckOK", b""), ("Timestamp", (1, 0)), ("NOP", None), ("WScale", 7)],
)
SACK = TCP(
    sport=443, dport=40000, seq=1, ack=2, flags="PA",
    options=[("NOP", None), ("NOP", None), ("SAck", (1, 2, 3, 4, 5, 6))],
) / b"payload"
CHAIN = (
    V6 / IPv6ExtHdrHopByHop() / IPv6ExtHdrRouting(addresses=["2001:db8::9"], segleft=0)
    / IPv6ExtHdrFragment(id=1) / AH(nh=60, payloadlen=4, icv=b"x" * 12) / IPv6ExtHdrDestOpt()
)
QUOTED = bytes(IP(src=V4.dst, dst=V4.src) / SACK)
QUOTED_V6 = bytes(IPv6(src=V6.dst, dst=V6.src) / SACK)

TCP_FRAMES = {
    "ipv4": bytes(MAC / V4 / SYN),
    "ipv4 with options": bytes(MAC / IP(src=V4.src, dst=V4.dst, options=[b"\1" * 8]) / SACK),
    "ipv6": bytes(MAC / V6 / SYN),
    "ipv6 with extension headers": bytes(MAC / CHAIN / SACK),
    "vlan": bytes(MAC / Dot1Q(vlan=5) / V4 / SACK),
    "qinq": bytes(MAC / Dot1AD(vlan=5) / Dot1Q(vlan=6) / CHAIN / SYN),
}
FRAMES = TCP_FRAMES | {
    "icmp": bytes(MAC / V4 / ICMP(type=3, code=4) / QUOTED),
    "icmpv6": bytes(MAC / V6 / ICMPv6PacketTooBig() / QUOTED_V6),
    "fragment": bytes(MAC / V6 / IPv6ExtHdrFragment(m=1) / SYN),
}


def cut_with_its_length(frame, whole, length):
    """The first bytes, under an IP header that says so; `whole` is the frame's segment."""
    cut = bytearray(frame[:length])
    if whole.family == 6:
        cut[whole.l3 + 4 : whole.l3 + 6] = (length - whole.l3 - 40).to_bytes(2, "big")
        return bytes(cut)
    cut[whole.l3 + 2 : whole.l3 + 4] = (length - whole.l3).to_bytes(2, "big")
    return with_header_checksum(cut, whole.l3)


def with_header_checksum(frame, l3):
    frame = bytearray(frame)
    end = l3 + 4 * (frame[l3] & 0x0F)
    frame[l3 + 10 : l3 + 12] = bytes(2)
    frame[l3 + 10 : l3 + 12] = wire.checksum_field(wire.checksum_add(bytes(frame[l3:end])))
    return bytes(frame)


def hold_what_the_contract_says(frame):
    """Every invariant of a parsed frame, whatever its bytes; and every door that takes one."""
    segment = wire.parse(frame)
    wire.flow(frame, True)
    quote = wire.parse_quote(frame)
    assert (quote is not None) == (segment.kind == "icmp error")
    if segment.kind == "malformed":
        assert segment.fault in ("frame truncated", "ip malformed", "extension malformed")
        return
    if segment.family:
        assert 14 <= segment.l3 < segment.l4
        assert segment.l4 + segment.l4_bytes <= len(frame)
    if segment.kind == "tcp" and segment.fault is None:
        assert segment.l4_bytes >= 20
        assert segment.l4 + 20 <= segment.payload <= segment.l4 + 60
        assert segment.payload + segment.payload_bytes == segment.l4 + segment.l4_bytes
        wire.verify(frame)
    if quote is not None:
        assert segment.l4 + 8 == quote.l3 < quote.l4
        assert quote.l4_bytes >= 8
        assert quote.l4 + quote.l4_bytes <= segment.l4 + segment.l4_bytes
        assert len(wire.rewrite_quote(frame, 0xFFFFFFFF)) == len(frame)


@pytest.mark.parametrize("name", FRAMES)
def test_a_frame_that_is_cut_anywhere_is_never_whole_tcp(name):
    frame = FRAMES[name]
    for length in range(len(frame)):
        hold_what_the_contract_says(frame[:length])
        segment = wire.parse(frame[:length])
        assert segment.kind != "tcp" or segment.fault is not None


@pytest.mark.parametrize("name", TCP_FRAMES)
def test_a_packet_that_is_cut_anywhere_is_tcp_only_with_its_whole_header(name):
    frame = TCP_FRAMES[name]
    whole = wire.parse(frame)
    assert (whole.kind, whole.fault) == ("tcp", None)
    header = 20 if whole.family == 4 else 40
    for length in range(whole.l3 + header, len(frame)):
        cut = cut_with_its_length(frame, whole, length)
        hold_what_the_contract_says(cut)
        segment = wire.parse(cut)
        is_whole = segment.kind == "tcp" and segment.fault is None
        assert is_whole == (length >= whole.payload)
        if segment.kind == "tcp" and length >= whole.l4 + 4:
            assert (segment.sport, segment.dport) == (whole.sport, whole.dport)


@pytest.mark.parametrize("name", ["icmp", "icmpv6"])
def test_an_icmp_error_that_is_cut_anywhere_quotes_only_what_is_there(name):
    frame = FRAMES[name]
    whole = wire.parse(frame)
    quote = wire.parse_quote(frame)
    for length in range(whole.l4, len(frame)):
        cut = cut_with_its_length(frame, whole, length)
        hold_what_the_contract_says(cut)
        hold_what_the_contract_says(cut + frame[length:])  # the rest as Ethernet padding
        assert (wire.parse(cut).kind == "icmp error") == (length >= quote.l4 + 8)


@pytest.mark.parametrize("name", FRAMES)
def test_no_single_byte_makes_a_frame_break_the_contract(name):
    frame = FRAMES[name]
    for at in range(12, len(frame)):
        for value in (0x00, 0x01, 0x06, 0x2C, 0x3C, 0x45, 0x7F, 0x80, 0xFF):
            hold_what_the_contract_says(frame[:at] + bytes([value]) + frame[at + 1 :])


@settings(max_examples=1000)
@given(
    st.sampled_from(list(FRAMES.values())),
    st.lists(st.tuples(st.integers(12, 200), st.integers(0, 255)), max_size=8),
    st.integers(0, 200),
    st.booleans(),
)
def test_no_mutation_makes_a_frame_break_the_contract(frame, changes, length, mend):
    mutated = bytearray(frame)
    for at, value in changes:
        if at < len(mutated):
            mutated[at] = value
    l3 = wire.parse(frame).l3
    if mend and mutated[l3] >> 4 == 4:
        mutated = with_header_checksum(mutated, l3)
    hold_what_the_contract_says(bytes(mutated))
    hold_what_the_contract_says(bytes(mutated[:length]))


@given(st.binary(max_size=120), st.sampled_from(["0800", "86dd", "8100", "88a8", "8100000186dd"]))
def test_rubbish_behind_an_ethertype_holds_the_contract(rubbish, ethertype):
    hold_what_the_contract_says(bytes(12) + bytes.fromhex(ethertype) + rubbish)
