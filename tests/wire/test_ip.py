"""Addresses that no packet on a wire may have, and faults in their order."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from cython_core import _testing_wire as wire

MAC = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
SYN = TCP(sport=40000, dport=443, flags="S")


def between(source, destination, **fields):
    ip = IPv6 if ":" in source else IP
    return bytes(MAC / ip(src=source, dst=destination, **fields) / SYN)


NO_HOSTS = (
    "0.0.0.0", "0.1.2.3", "127.0.0.1", "127.255.255.255", "224.0.0.1", "239.1.2.3", "240.0.0.1",
    "255.255.255.255",
)
NO_HOSTS6 = ("::", "::1", "ff02::1", "ff0e::1", "::ffff:192.0.2.1")


@pytest.mark.parametrize("address", [*NO_HOSTS, *NO_HOSTS6])
def test_an_address_that_is_no_hosts_is_named_at_either_end(address):
    other = "2001:db8::2" if ":" in address else "198.51.100.2"
    for ends in ((address, other), (other, address)):
        segment = wire.parse(between(*ends))
        assert (segment.kind, segment.fault) == ("tcp", "martian")


def test_an_ipv6_destination_that_would_pass_for_ipv4_is_martian():
    segment = wire.parse(between("2001:db8::1", "::ffff:198.51.100.2"))
    assert (segment.kind, segment.fault, segment.family) == ("tcp", "martian", 6)


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("1.0.0.1", "198.51.100.2"), ("126.255.255.255", "198.51.100.2"),
        ("128.0.0.1", "198.51.100.2"), ("223.255.255.255", "198.51.100.2"),
        ("::2", "2001:db8::2"), ("fe80::1", "fe80::2"), ("fd00::1", "2001:db8::2"),
        ("::fffe:192.0.2.1", "2001:db8::2"), ("64:ff9b::192.0.2.1", "2001:db8::2"),
    ],
)
def test_their_neighbours_are_no_martians(source, destination):
    assert wire.parse(between(source, destination)).fault is None


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_a_segment_from_its_own_destination_is_land(address):
    assert wire.parse(between(address, address)).fault == "land"


def test_a_fragment_is_judged_by_its_addresses_too():
    piece = between("127.0.0.1", "198.51.100.2", flags="MF")
    assert (wire.parse(piece).kind, wire.parse(piece).fault) == ("fragment", "martian")


def test_the_first_fault_stands():
    data = bytearray(between("127.0.0.1", "198.51.100.2"))
    data[34:36] = bytes(2)  # the source port
    assert wire.parse(bytes(data)).fault == "martian"
    data[24] ^= 0xA5  # the IPv4 header checksum
    assert wire.parse(bytes(data)).fault == "ip checksum"
