"""ICMP and ICMPv6 errors in a test's words: what a router says about a segment it has seen."""

from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import (
    ICMPv6DestUnreach,
    ICMPv6PacketTooBig,
    ICMPv6ParamProblem,
    ICMPv6TimeExceeded,
    IPv6,
)
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw

from .segments import Segment

ROUTER_MAC = "02:00:00:00:00:03"
NARROW_MTU = 1300

# RFC 792 and RFC 1191; RFC 4443 §3.1-3.4.
IPV4_ERRORS = {
    "net-unreachable": ICMP(type=3, code=0), "host-unreachable": ICMP(type=3, code=1),
    "port-unreachable": ICMP(type=3, code=3),
    "too-big": ICMP(type=3, code=4, nexthopmtu=NARROW_MTU),
    "prohibited": ICMP(type=3, code=13), "exceeded": ICMP(type=11, code=0),
    "parameter": ICMP(type=12, code=0, ptr=1),
}
IPV6_ERRORS = {
    "no-route": ICMPv6DestUnreach(code=0), "host-unreachable": ICMPv6DestUnreach(code=3),
    "port-unreachable": ICMPv6DestUnreach(code=4),
    "prohibited": ICMPv6DestUnreach(code=1), "too-big": ICMPv6PacketTooBig(mtu=NARROW_MTU),
    "exceeded": ICMPv6TimeExceeded(code=0), "parameter": ICMPv6ParamProblem(code=1, ptr=6),
}
HARD = {"port-unreachable", "prohibited"}       # no retry mends them: RFC 1122 §4.2.3.9
ERRORS = {4: IPV4_ERRORS, 6: IPV6_ERRORS}
IP_BYTES = {4: 20, 6: 40}


def error_about(segment: Segment, kind: str, tcp_bytes: int | None = None,
                mtu: int = NARROW_MTU) -> bytes:
    """The frame that a router returns to the sender of `segment`, tagged as it was.

    `tcp_bytes`: how much the router quotes behind the IP header; all where None.
    """
    ether = Ether(src=ROUTER_MAC, dst=segment.source_mac)
    for ethertype, vlan in segment.tags:
        ether = ether / (Dot1AD if ethertype == 0x88A8 else Dot1Q)(vlan=vlan)
    packet = segment.frame()[14 + 4 * len(segment.tags):]
    cut = None if tcp_bytes is None else IP_BYTES[segment.family] + tcp_bytes
    router = (IP(src="203.0.113.1", dst=segment.source) if segment.family == 4
              else IPv6(src="2001:db8:1::1", dst=segment.source))
    error = ERRORS[segment.family][kind].copy()
    if kind == "too-big":
        error.setfieldval("nexthopmtu" if segment.family == 4 else "mtu", mtu)
    return bytes(ether / router / error / Raw(packet[:cut])).ljust(60, b"\0")


def kinds(family: int) -> list[str]:
    return list(ERRORS[family])
