"""Frames to send by the million: what they have in common, and what is drawn anew in each.

Reading list: RFC 791 §3.1, RFC 8200 §3 and §4.5, RFC 1071, RFC 4443 §2.3.
"""

import ipaddress
import struct
from collections.abc import Sequence
from dataclasses import dataclass

ETHERNET_BYTES = 14
IPV4_BYTES = 20
IPV6_BYTES = 40
# IANA protocol numbers.
ICMP, TCP, UDP, FRAGMENT_HEADER, ICMPV6 = 1, 6, 17, 44, 58
DONT_FRAGMENT = 0x4000      # RFC 791 §3.1, of an IPv4 header's fragment word

Prefix = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Blank:
    """A 16-bit word some of whose bits are drawn; the template has zeros for these.  `at` is an
    offset, and even from its checksum's header on."""

    at: int
    mask: int
    in_ip: bool = False         # the IPv4 header's checksum covers it
    in_l4: bool = True          # TCP's or ICMP's, or its pseudo-header


@dataclass(frozen=True)
class Template:
    """A frame and the offsets and sums that `Volley` needs to vary it.

    Offsets count from the frame's first byte; 0 says that the field is not there.  Sums are
    one's complement sums of 16-bit words, unfolded, without what is drawn.
    """

    frame: bytes
    source: int                 # the last 32 bits of the source address
    l4: int
    ip_checksum: int
    checksum: int               # TCP's, UDP's or ICMP's
    ip_sum: int
    sum: int
    blanks: tuple[Blank, ...]


@dataclass(frozen=True)
class Ends:
    """Who sends, to whom.  Of a source's last 32 bits those are drawn that its prefix leaves
    open."""

    sources: Prefix
    destination: bytes
    macs: bytes                 # the destination's, the source's
    tags: bytes = b""           # VLAN tags, as they stand before the EtherType


@dataclass(frozen=True)
class Body:
    """What follows the IP header.  Offsets count from its first byte; its checksum is zero."""

    protocol: int
    octets: bytes
    drawn: Sequence[tuple[int, int]] = ()       # words, and which of their bits
    checksum: int | None = None


def ends_of(destination: str, sources: str, source_mac: str, destination_mac: str,
            tags: bytes = b"") -> Ends:
    """`sources` is a prefix of the destination's family."""
    to, prefix = ipaddress.ip_address(destination), ipaddress.ip_network(sources)
    if to.version != prefix.version:
        raise ValueError(f"{sources} and {destination} are of two families")
    return Ends(prefix, to.packed, mac_bytes(destination_mac) + mac_bytes(source_mac), tags)


def words_sum(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def mac_bytes(text: str) -> bytes:
    mac = bytes.fromhex(text.replace(":", ""))
    if len(mac) != 6:
        raise ValueError(f"{text} is no MAC address")
    return mac


def template(ends: Ends, body: Body, *, fragment: int = DONT_FRAGMENT, ip_sum_off_by: int = 0,
             sum_off_by: int = 0) -> Template:
    """`fragment` is that word of an IPv4 header; a sum that is off makes a checksum wrong."""
    version4 = ends.sources.version == 4
    source = ends.sources.network_address.packed
    header = (_ipv4(source, ends.destination, body, fragment) if version4
              else _ipv6(source, ends.destination, body))
    l3 = ETHERNET_BYTES + len(ends.tags)
    l4 = l3 + len(header)
    # RFC 792: ICMP's checksum has no pseudo-header.
    pseudo = b"" if body.protocol == ICMP else (
        source + ends.destination + struct.pack("!HH", body.protocol, len(body.octets)))
    tail = l3 + (12 if version4 else 20)
    open_bits = int(ends.sources.hostmask) & 0xFFFFFFFF
    blanks = [Blank(tail + at, mask, in_ip=version4, in_l4=bool(pseudo))
              for at, mask in ((0, open_bits >> 16), (2, open_bits & 0xFFFF)) if mask]
    blanks += [Blank(l4 + at, mask) for at, mask in body.drawn]
    return Template(
        frame=ends.macs + ends.tags + (b"\x08\x00" if version4 else b"\x86\xdd") + header
        + body.octets,
        source=tail, l4=l4, ip_checksum=l3 + 10 if version4 else 0,
        checksum=0 if body.checksum is None else l4 + body.checksum,
        ip_sum=words_sum(header) + ip_sum_off_by,
        sum=words_sum(pseudo + body.octets) + sum_off_by,
        blanks=tuple(blanks))


def _ipv4(source: bytes, to: bytes, body: Body, fragment: int) -> bytes:
    return struct.pack("!BBHHHBBH", 0x45, 0, IPV4_BYTES + len(body.octets), 0, fragment, 64,
                       body.protocol, 0) + source + to


def _ipv6(source: bytes, to: bytes, body: Body) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(body.octets), body.protocol, 64) + source + to
