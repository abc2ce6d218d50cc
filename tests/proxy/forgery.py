"""Frames of clients that prove nothing, by class, and how many of them may prove something.

A template is what cython_core/_testing_forger takes: a frame, and which of its words are drawn anew
each time, by where they lie.
"""

from collections.abc import Iterator
from functools import partial
from itertools import product
from math import exp

from cython_core._testing_forger import Forger
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6EchoRequest, ICMPv6TimeExceeded, IPv6, IPv6ExtHdrFragment
from scapy.layers.l2 import Ether
from scapy.packet import Raw

from .connection import SYN_IPV4, SYN_IPV6
from .harness import Proxy, service
from .segments import Segment, replace

TAGS = {"": (), "VLAN ": ((0x8100, 7),), "QinQ ": ((0x88A8, 7), (0x8100, 9))}
FAMILIES = {"IPv4": SYN_IPV4, "IPv6": SYN_IPV6}
PORT_MASK = 0x7FFF              # 40000 has the bit above: no drawn port is 0
FLAGS_MASK = 0x01FF             # all that RFC 9293 and RFC 9768 name, AE among them
ACK = 0x10
ETHERNET_BYTES, TAG_BYTES = 14, 4
ETHERNET_LEAST = 60
BARE = {"mss": None, "wscale": None, "sack_permitted": False, "tsval": None, "tsecr": None}
# What a SYN may have, in its shortest form: kinds and lengths in every packing.
SHORT_OPTIONS = (
    b"", b"\x02\x04\x05\xb4", b"\x03\x03\x07\x00", b"\x04\x02\x00\x00",
    b"\x02\x04\x05\xb4\x03\x03\x07\x00", b"\x02\x04\x05\xb4\x04\x02\x01\x01",
    b"\x03\x03\x07\x04\x02\x00\x00\x00", b"\x02\x04\x05\xb4\x04\x02\x03\x03\x07\x00\x00\x00",
    b"\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00",
    b"\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x04\x02",
    b"\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x03\x03\x07\x00\x00\x00",
    b"\x03\x03\x07\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x04\x02\x00",
    b"\x02\x04\x05\xb4\x08\x0a\x00\x00\x00\x01\x00\x00\x00\x00\x03\x03\x07\x04\x02\x00\x00\x00",
)


def plain_template(frame: bytes) -> tuple:
    """Nothing is drawn: of frames whose layout is not known."""
    return frame, 0, 0, []


def template(segment: Segment, flags_mask: int = 0, frame: bytes | None = None) -> tuple:
    """Source, its port, both numbers and the window are drawn, and the flags under the mask; the
    frame is the segment's unless another of the same layout is given."""
    frame = segment.frame() if frame is None else frame
    l3 = ETHERNET_BYTES + TAG_BYTES * len(segment.tags)
    ipv4 = segment.family == 4
    l4 = l3 + (20 if ipv4 else 40)
    blanks = [(l3 + (14 if ipv4 else 22), 0xFFFF, ipv4, True), (l4, PORT_MASK, False, True)]
    blanks += [(l4 + at, 0xFFFF, False, True) for at in (4, 6, 8, 10, 14)]
    blanks.append((l4 + 12, flags_mask, False, True))
    if segment.tsval is not None:       # behind two NOPs
        echo = frame.index(b"\x08\x0a", l4 + 20) + 2
        blanks += [(echo + at, 0xFFFF, False, True) for at in (0, 2, 4, 6)]
    return frame, (l3 + 10 if ipv4 else 0), l4 + 16, blanks


def acks(flags_mask: int = FLAGS_MASK & ~ACK) -> list[tuple]:
    """ACKs of all flag sets, of either family, with timestamps and without."""
    return [template(replace(syn, flags="A", **BARE | stamps), flags_mask)
            for syn, stamps in product(FAMILIES.values(), ({}, {"tsval": 1, "tsecr": 1}))]


def syns(syn: Segment) -> Iterator[tuple]:
    yield template(syn)
    yield template(replace(syn, flags="SEC", payload=b"early"))
    yield template(replace(syn, tsval=None, tsecr=None))
    for octets in SHORT_OPTIONS:
        segment = replace(syn, **BARE)
        yield template(segment, frame=with_options(segment, octets))
        yield template(segment, frame=unpadded(segment, octets))


def with_options(segment: Segment, octets: bytes) -> bytes:
    """Its frame with these for an option list, as short as they make it."""
    return _build(segment, octets).ljust(ETHERNET_LEAST, b"\0")


def unpadded(segment: Segment, octets: bytes) -> bytes:
    """The same as a virtual interface hands it over: shorter than any on a wire."""
    return _build(segment, octets)


def _build(segment: Segment, octets: bytes) -> bytes:
    shown = replace(segment, options=(), payload=octets)
    bare = Ether(shown.frame())
    tcp = bare[IP if segment.family == 4 else IPv6].payload
    tcp.dataofs = 5 + len(octets) // 4
    del tcp.chksum
    frame = bytes(bare)
    total = ETHERNET_BYTES + TAG_BYTES * len(segment.tags)
    total += (20 if segment.family == 4 else 40) + 20 + len(octets)
    return frame[:total]


def odd_sum(segment: Segment) -> bytes:
    frame = bytearray(segment.frame())
    frame[ETHERNET_BYTES + TAG_BYTES * len(segment.tags) + (36 if segment.family == 4 else 56)] ^= 1
    return bytes(frame)


def classes() -> Iterator[tuple[str, list[tuple]]]:
    """Each class of frames: its name, its templates."""
    for (family, base), (tag, tags) in product(FAMILIES.items(), TAGS.items()):
        syn = replace(base, tags=tags)
        bare = replace(syn, **BARE)
        named = partial("{}{} {}".format, tag, family)
        yield named("SYN"), list(syns(syn))
        yield named("ACK"), [template(replace(bare, flags="A")),
                             template(replace(bare, flags="A", tsval=1, tsecr=1))]
        yield named("data"), [template(replace(bare, flags="PA", payload=b"x" * length))
                              for length in (1, 8, 1400)]
        yield named("RST"), [template(replace(bare, flags=flags)) for flags in ("R", "RA")]
        yield named("FIN"), [template(replace(bare, flags=flags)) for flags in ("FA", "F", "FPA")]
        yield named("odd flags"), [template(replace(bare, flags=""), FLAGS_MASK & ~0x02)]
        yield named("wrong checksum"), [template(bare, frame=odd_sum(bare))]
        yield named("port 0"), [template(replace(bare, dport=0))]
    yield from below_tcp()


def below_tcp() -> Iterator[tuple[str, list[tuple]]]:
    ipv4 = partial(IP, src=SYN_IPV4.source, dst=SYN_IPV4.destination)
    ipv6 = partial(IPv6, src=SYN_IPV6.source, dst=SYN_IPV6.destination)
    quote4 = bytes(IP(src=SYN_IPV4.destination, dst=SYN_IPV4.source, proto=6))
    quote6 = bytes(IPv6(src=SYN_IPV6.destination, dst=SYN_IPV6.source, nh=6, plen=20))
    tcp = b"\x00\x50\x9c\x40" + bytes(16)
    for name, packet in (
            ("IPv4 fragment", ipv4(flags="MF", proto=6) / Raw(tcp + bytes(20))),
            ("IPv4 later fragment", ipv4(frag=5, proto=6) / Raw(bytes(40))),
            ("IPv6 fragment", ipv6() / IPv6ExtHdrFragment(m=1, nh=6) / Raw(tcp + bytes(20))),
            ("IPv4 echo", ipv4() / ICMP() / Raw(b"ping")),
            ("IPv6 echo", ipv6() / ICMPv6EchoRequest(data=b"ping")),
            ("IPv4 unreachable", ipv4() / ICMP(type=3, code=4) / Raw(quote4 + tcp)),
            ("IPv4 hard error", ipv4() / ICMP(type=3, code=3) / Raw(quote4 + tcp)),
            ("IPv6 error", ipv6() / ICMPv6TimeExceeded() / Raw(quote6 + tcp)),
            ("wrong IPv4 checksum", ipv4(chksum=1, proto=6) / Raw(tcp)),
            ("TCP cut short", ipv4(proto=6) / Raw(tcp[:12])),
            ("options that end outside", ipv4(proto=6) / Raw(
                tcp[:12] + b"\x60\x02" + bytes(6) + b"\x02\x0a\x05\xb4")),
    ):
        frame = bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / packet)
        yield name, [plain_template(frame), plain_template(frame.ljust(ETHERNET_LEAST, b"\0"))]


def forger(templates, seed: int = 1, **options) -> tuple[Proxy, Forger]:
    proxy = Proxy(service(**options), connections=4096, half_open=1024)
    return proxy, Forger(proxy.box, templates, seed)


def most_by_chance(mean: float, odds: float = 1e-9) -> int:
    """What a count with this mean (Poisson's) exceeds less often than that."""
    most, term, below = 0, exp(-mean), exp(-mean)
    while 1 - below > odds:
        most += 1
        term *= mean / most
        below += term
    return most
