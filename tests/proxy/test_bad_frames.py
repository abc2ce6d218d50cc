"""What is broken is dropped by name; what is nobody's is passed on to the last bit.

design/protocol §4: judged before any hash, and only where it is for a protected address.
"""

import random

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import (
    ICMPv6EchoRequest,
    ICMPv6ND_NS,
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrFragment,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
)
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from .connection import SYN_IPV4, SYN_IPV6, wrap
from .harness import Proxy
from .segments import replace

MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
CLIENT, SERVER, OTHER = "198.51.100.7", "10.0.0.2", "10.9.9.9"
CLIENT6, SERVER6, OTHER6 = "2001:db8::7", "fd00::2", "fd99::9"


def padded(packet) -> bytes:
    return bytes(Ether(**MACS) / packet).ljust(60, b"\0")


def tcp(payload=b"", **differs):
    return TCP(**{"sport": 40000, "dport": 80, "flags": "S", "seq": 1} | differs) / Raw(payload)


def ipv4(layer, **differs):
    return padded(IP(**{"src": CLIENT, "dst": SERVER} | differs) / layer)


def ipv6(layer, **differs):
    return padded(IPv6(**{"src": CLIENT6, "dst": SERVER6} | differs) / layer)


def with_options(octets: bytes):
    """A TCP header whose option list is these bytes, its checksum right."""
    assert len(octets) % 4 == 0
    return tcp(octets, dataofs=5 + len(octets) // 4)


def wrong_sum(frame: bytes, at: int) -> bytes:
    return frame[:at] + bytes([frame[at] ^ 0x55]) + frame[at + 1:]


def later(dst):
    """A later fragment: whatever lies where the ports would be."""
    return padded(IP(src=CLIENT, dst=dst, frag=64, proto=6) / Raw(b"\x9c\x40\x00\x50" * 8))


def extensions(layer, headers, **differs):
    for header in reversed(headers):
        layer = header / layer
    return ipv6(layer, **differs)


def addressed(dst, dst6):
    """(name, reason, frame) of each fault that is judged by the address alone."""
    to4, to6 = {"dst": dst}, {"dst": dst6}
    yield "ip-checksum", "ip_checksum", ipv4(tcp(), chksum=1, **to4)
    for family, wrap_in, to in ((4, ipv4, to4), (6, ipv6, to6)):
        yield f"port-0-from-{family}", "port_zero", wrap_in(tcp(sport=0), **to)
        yield f"port-0-to-{family}", "port_zero", wrap_in(tcp(dport=0), **to)
        yield f"offset-4-{family}", "tcp_malformed", wrap_in(tcp(dataofs=4), **to)
        yield f"offset-0-{family}", "tcp_malformed", wrap_in(tcp(dataofs=0), **to)
        yield f"offset-past-end-{family}", "tcp_malformed", wrap_in(tcp(dataofs=6), **to)
        for name, octets in OPTION_FAULTS.items():
            yield f"{name}-{family}", "tcp_options", wrap_in(with_options(octets), **to)
        short = {"len": 39} if family == 4 else {"plen": 19}
        yield f"19-bytes-{family}", "tcp_truncated", wrap_in(tcp(), **to, **short)
        short = {"len": 20} if family == 4 else {"plen": 0}
        yield f"0-bytes-{family}", "tcp_truncated", wrap_in(tcp(), **to, **short)
    yield "land-4", "land", ipv4(tcp(), src=dst, dst=dst)
    yield "land-6", "land", ipv6(tcp(), src=dst6, dst=dst6)
    for source in ("0.0.0.0", "0.1.2.3", "127.0.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"):
        yield f"martian-{source}", "martian", ipv4(tcp(), src=source, **to4)
    for source in ("::", "::1", "ff02::1", "::ffff:198.51.100.7"):
        yield f"martian-{source}", "martian", ipv6(tcp(), src=source, **to6)
    yield "first-fragment-4", "fragment", ipv4(tcp(b"x" * 40), flags="MF", **to4)
    yield "later-fragment-4", "fragment", later(dst)
    yield "first-fragment-6", "fragment", extensions(
        tcp(b"x" * 40), [IPv6ExtHdrFragment(m=1, id=7)], **to6)
    yield "later-fragment-6", "fragment", extensions(
        Raw(b"y" * 40), [IPv6ExtHdrFragment(offset=8, nh=6, id=7)], **to6)
    yield "too-many-extensions", "extension_malformed", extensions(
        tcp(), [IPv6ExtHdrDestOpt()] * 9, **to6)
    yield "segments-left", "extension_malformed", extensions(
        tcp(), [IPv6ExtHdrRouting(addresses=["fd00::3"], segleft=1)], **to6)
    yield "extension-past-end", "extension_malformed", extensions(
        tcp(), [IPv6ExtHdrHopByHop(len=200)], **to6)


OPTION_FAULTS = {
    "length-0": b"\x08\x00\x01\x01", "length-1": b"\xfe\x01\x01\x01",
    "past-end": b"\x08\x0a\x00\x00", "no-length": b"\x01\x01\x01\x08",
    "mss-of-3": b"\x02\x03\x05\x01", "scale-of-4": b"\x03\x04\x07\x07",
    "sack-permitted-of-3": b"\x04\x03\x00\x01", "timestamps-of-8": b"\x08\x08" + bytes(6),
    "empty-sack": b"\x05\x02\x01\x01", "sack-of-half-a-block": b"\x05\x06" + bytes(6),
}
PROTECTED = {name: (reason, frame) for name, reason, frame in addressed(SERVER, SERVER6)}
UNPROTECTED = {name: frame for name, _, frame in addressed(OTHER, OTHER6)}


@pytest.mark.parametrize("name", PROTECTED)
def test_a_broken_frame_for_a_protected_address_is_dropped_by_name(proxy, name):
    reason, frame = PROTECTED[name]
    assert proxy.from_client(frame).nothing == reason
    assert proxy.drops == {reason: 1}


@pytest.mark.parametrize("name", UNPROTECTED)
def test_the_same_frame_for_anyone_else_is_bridged_byte_for_byte(proxy, name):
    bridged(proxy, UNPROTECTED[name])


def bridged(proxy, frame):
    """Untouched, in both directions."""
    for from_client in (True, False):
        verdicts, sent = proxy.box.run([frame], from_client)
        proxy.sent += len(sent)
        proxy.check_books()
        assert (verdicts, sent) == (["bridge"], [(from_client, frame)])
    assert proxy.counters.bridged == 2


@pytest.mark.parametrize("group", ["ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01"])
def test_a_syn_to_a_group_of_hosts_is_not_answered_in_its_name(proxy, syn, group):
    assert proxy.from_client(replace(syn, destination_mac=group)).nothing == "martian"


@pytest.mark.parametrize("group", ["224.0.0.1", "255.255.255.255", "ff02::1"])
def test_a_server_that_speaks_to_a_group_gets_no_reset_in_its_name(proxy, group):
    if ":" in group:
        frame = ipv6(tcp(sport=80, flags="A"), src=SERVER6, dst=group)
    else:
        frame = ipv4(tcp(sport=80, flags="A"), src=SERVER, dst=group)
    assert proxy.from_server(frame).nothing == "martian"


@pytest.mark.parametrize("from_client", [True, False], ids=["from-client", "from-server"])
def test_a_wrong_tcp_checksum_is_dropped(proxy, syn, from_client):
    segment = syn if from_client else replace(
        syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    frame, l4 = segment.frame(), 34 if syn.family == 4 else 54
    for at in (l4 + 4, l4 + 14, len(frame) - 1):
        assert proxy.run([wrong_sum(frame, at)], from_client).nothing == "tcp_checksum"
    assert proxy.drops == {"tcp_checksum": 3}


def test_a_frame_cut_anywhere_is_dropped_and_leads_to_nothing(syn):
    proxy, frame = Proxy(), syn.frame()
    header = 34 if syn.family == 4 else 54
    for length in range(len(frame)):
        reason = "frame_truncated" if length < header else "ip_malformed"
        assert proxy.from_client(frame[:length]).nothing == reason, length


def test_a_frame_cut_inside_its_tags_is_dropped(proxy):
    frame = replace(SYN_IPV4, tags=((0x88A8, 5), (0x8100, 6))).frame()
    for length in range(14, 22):
        assert proxy.from_client(frame[:length]).nothing == "frame_truncated", length


@pytest.mark.parametrize("differs", [
    {"version": 5}, {"version": 6}, {"ihl": 4}, {"len": 19}, {"len": 3000},
], ids=str)
def test_an_ip_header_that_contradicts_its_frame_is_dropped(proxy, differs):
    assert proxy.from_client(ipv4(tcp(), **differs)).nothing == "ip_malformed"


@pytest.mark.parametrize("differs", [{"version": 4}, {"plen": 3000}], ids=str)
def test_an_ipv6_header_that_contradicts_its_frame_is_dropped(proxy, differs):
    assert proxy.from_client(ipv6(tcp(), **differs)).nothing == "ip_malformed"


@pytest.mark.parametrize("headers", [
    [IPv6ExtHdrHopByHop()], [IPv6ExtHdrDestOpt()] * 8, [IPv6ExtHdrFragment(id=9)],
    [IPv6ExtHdrRouting(addresses=["fd00::3"], segleft=0)],
    [IPv6ExtHdrHopByHop(), IPv6ExtHdrRouting(addresses=[], segleft=0), IPv6ExtHdrDestOpt()],
], ids=["hop-by-hop", "eight", "atomic-fragment", "routed", "three"])
def test_a_syn_behind_extension_headers_is_answered(proxy, headers):
    synack = proxy.from_client(extensions(tcp(), headers)).to_client
    assert (synack.flags, synack.ack) == ("SA", 2)


def test_a_syn_behind_ip_options_is_answered_without_them(proxy):
    frame = ipv4(tcp(), options=b"\x94\x04\x00\x00")
    assert proxy.from_client(frame).to_client.flags == "SA"


def test_a_syn_that_may_be_fragmented_is_as_welcome(proxy):
    assert proxy.from_client(ipv4(tcp(), flags=0)).to_client.flags == "SA"


# What is nobody's.

NOBODYS = {
    "arp": padded(ARP(pdst=SERVER)),
    "neighbour": ipv6(ICMPv6ND_NS(tgt=SERVER6), dst="ff02::1:ff00:2"),
    "udp": ipv4(UDP(sport=40000, dport=80) / b"x"), "udp6": ipv6(UDP(sport=1, dport=80) / b"x"),
    "ping": ipv4(ICMP() / b"ping"), "ping6": ipv6(ICMPv6EchoRequest(data=b"ping")),
    "other-port": ipv4(tcp(dport=81)), "other-port6": ipv6(tcp(dport=81)),
    "other-address": ipv4(tcp(), dst=OTHER), "other-address6": ipv6(tcp(), dst=OTHER6),
    "wrong-sum-elsewhere": ipv4(tcp(chksum=1), dst=OTHER),
    "odd-flags-elsewhere": ipv4(tcp(flags="FSRPAU"), dst=OTHER),
    "udp-fragment": ipv4(UDP(sport=1, dport=80) / b"xx", flags="MF"),
    "lldp": bytes(Ether(**MACS, type=0x88CC) / Raw(b"\x02\x07")).ljust(60, b"\0"),
    "length-field": bytes(Ether(**MACS, type=38) / Raw(b"\x42\x42\x03")).ljust(60, b"\0"),
    "three-tags": bytes(Ether(**MACS) / Dot1Q(vlan=1) / Dot1Q(vlan=2) / Dot1Q(vlan=3)
                        / IP(src=CLIENT, dst=SERVER) / tcp()),
    "tagged-other-port": bytes(Ether(**MACS) / Dot1Q(vlan=1) / IP(src=CLIENT, dst=SERVER)
                               / tcp(dport=22)),
    "gre": ipv4(Raw(b"tunnel"), proto=47), "padded": padded(ARP()) + b"trailer",
    "icmp-about-nobody": ipv4(ICMP(type=3, code=1) / IP(src=OTHER, dst=CLIENT) / tcp()),
    "icmp-about-udp": ipv4(ICMP(type=3, code=3) / IP(src=SERVER, dst=CLIENT) / UDP(dport=80)),
}


@pytest.mark.parametrize("name", NOBODYS)
def test_what_is_nobodys_is_bridged_byte_for_byte(proxy, name):
    bridged(proxy, NOBODYS[name])


def test_no_broken_frame_disturbs_the_next_good_one(proxy, syn):
    frames = [frame for _, frame in PROTECTED.values()]
    out = proxy.from_client(*frames[:63], syn)
    assert out.to_client.ack == wrap(syn.seq + 1)
    assert out.verdicts[-1] == "to_client"


def test_random_bytes_lead_to_nothing_but_a_verdict(proxy):
    rng = random.Random(8)
    templates = [SYN_IPV4.frame(), SYN_IPV6.frame(), padded(ARP())]
    for _ in range(60):
        burst = []
        for _ in range(32):
            frame = bytearray(rng.choice(templates))
            for _ in range(rng.randrange(1, 6)):
                frame[rng.randrange(12, len(frame))] = rng.randrange(256)
            burst.append(bytes(frame[:rng.randrange(12, len(frame) + 1)]))
        verdicts, sent = proxy.box.run(burst, True)
        proxy.sent += len(sent)
        proxy.check_books()
        assert len(verdicts) == 32
    assert proxy.gauges.connections == 0
