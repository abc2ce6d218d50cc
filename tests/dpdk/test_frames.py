"""Frames from capture files through real ports and a real worker."""

import pytest
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.inet6 import ICMPv6ND_NS, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether
from scapy.packet import Raw

from ..proxy.segments import Segment, replace

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", seq=7, mss=1460, wscale=7,
              sack_permitted=True, tsval=1000)
SYN_IPV6 = replace(SYN, source="fd00:1::1", destination="fd00::2")
MACS = {"src": "02:00:00:00:00:01", "dst": "02:00:00:00:00:02"}
OTHERS = [
    Ether(**MACS) / ARP(psrc="10.0.0.1", pdst="10.0.0.2"),
    Ether(**MACS) / IPv6(src="fd00::1", dst="ff02::1") / ICMPv6ND_NS(tgt="fd00::2"),
    Ether(**MACS) / IP(src="10.1.0.1", dst="10.0.0.2") / ICMP() / Raw(b"ping" * 300),
    Ether(**MACS) / IP(src="10.1.0.1", dst="10.0.0.2") / UDP(sport=53, dport=80) / Raw(b"x"),
    Ether(**MACS) / Dot1Q(vlan=5) / IP(src="10.1.0.1", dst="10.0.0.2") / UDP() / Raw(b"y" * 1450),
    Ether(**MACS, type=0x88CC) / Raw(b"\x02\x07lldp" * 4),
]
BRIDGED = [bytes(frame) for frame in OTHERS] + [
    replace(SYN, dport=81).frame(), replace(SYN, destination="10.9.0.2").frame(),
]


@pytest.mark.parametrize("syn", [SYN, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_a_syn_comes_back_as_a_syn_ack(plane, captures, syn):
    syns = [replace(syn, sport=1024 + port, seq=port) for port in range(200)]
    captures.from_client = [segment.frame() for segment in syns]
    told = plane(received=200, **captures.devices())
    answers = [Segment.read(frame) for frame in captures.to_client()]
    assert [(answer.dport, answer.ack) for answer in answers] == [
        (segment.sport, segment.seq + 1) for segment in syns]
    assert {(answer.flags, answer.source, answer.mss, answer.tsecr) for answer in answers} == {
        ("SA", syn.destination, 1460 if syn is SYN else 1440, 1000)}
    assert captures.to_server() == []
    assert told.counters.synack_sent == told.counters.sent == 200
    assert told.services[0]["syn_received"] == 200
    assert told.services[1]["syn_received"] == 0


def test_frames_of_no_service_pass_untouched_in_both_directions(plane, captures):
    captures.from_client, captures.from_server = BRIDGED, BRIDGED[::-1]
    told = plane(received=2 * len(BRIDGED), **captures.devices())
    assert captures.to_server() == BRIDGED
    assert captures.to_client() == BRIDGED[::-1]
    assert told.counters.bridged == 2 * len(BRIDGED)


def test_faulty_frames_are_dropped_by_name(plane, captures):
    good = SYN.frame()
    captures.from_client = [good[:-1] + bytes([good[-1] ^ 1]), good[:40], good[:13]]
    told = plane(received=3, **captures.devices())
    assert captures.to_client() == captures.to_server() == []
    assert told.counters.tcp_checksum == told.counters.ip_malformed == 1
    assert told.counters.frame_truncated == 1
    assert told.in_use[2] == 0


def test_a_frame_of_more_than_one_buffer_is_dropped(plane, captures):
    jumbo = bytes(Ether(**MACS) / IP(src="10.1.0.1", dst="10.0.0.2") / UDP() / Raw(b"j" * 5000))
    captures.from_client = [jumbo, SYN.frame()]
    told = plane(received=2, **captures.devices())
    assert told.counters.frame_truncated == 1
    assert len(captures.to_client()) == 1
    assert captures.to_server() == []
    assert told.in_use[2] == 0


def test_ports_tell_what_they_are(plane, captures):
    captures.from_client = [SYN.frame()]
    told = plane(received=1, **captures.devices())
    client, server = told.ports
    assert (client["role"], server["role"]) == ("client", "server")
    assert client["driver"] == "net_pcap"
    assert client["device"].startswith("net_pcap0,")
    assert (client["rx_packets"], client["tx_packets"], server["tx_packets"]) == (1, 1, 0)
    assert len(client["mac"]) == len("02:00:00:00:00:00")


def test_a_closed_plane_says_so(plane):
    assert plane().closed == "the data plane is closed"
