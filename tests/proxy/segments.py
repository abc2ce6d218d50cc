"""The tests' own words for segments: a template, and what differs.

`Segment` is what a test writes and reads; scapy turns it into a frame and back, so nothing of
the code under test takes part.  Reading checks both checksums.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_address
from itertools import pairwise
from socket import IPPROTO_TCP
from struct import pack

from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Dot1AD, Dot1Q, Ether
from scapy.packet import Raw
from scapy.utils import checksum

__all__ = ["Segment", "replace"]

FLAGS = "FSRPAUECN"        # N, scapy's letter, is AE: the low bit of byte 12, RFC 9768 §3.1


@dataclass(frozen=True)
class Segment:
    source: str
    destination: str
    sport: int
    dport: int
    flags: str = "A"
    seq: int = 0
    ack: int = 0
    window: int = 64240
    payload: bytes = b""
    mss: int | None = None
    wscale: int | None = None
    sack_permitted: bool = False
    tsval: int | None = None
    tsecr: int | None = None
    sack: tuple[tuple[int, int], ...] = ()
    hop_limit: int = 57
    tos: int = 0
    flow_label: int = 0
    tags: tuple[tuple[int, int], ...] = ()      # (ethertype, VLAN id), outermost first
    source_mac: str = "02:00:00:00:00:01"
    destination_mac: str = "02:00:00:00:00:02"
    urgent: int = 0
    options: tuple[tuple[object, object], ...] | None = None    # scapy's form, instead of ours

    @property
    def family(self) -> int:
        return ip_address(self.source).version

    def frame(self) -> bytes:
        ether = Ether(src=self.source_mac, dst=self.destination_mac)
        tags = [(Dot1AD if ethertype == 0x88A8 else Dot1Q)(vlan=vlan)
                for ethertype, vlan in self.tags]
        if self.family == 4:
            ip = IP(src=self.source, dst=self.destination, ttl=self.hop_limit, tos=self.tos,
                    flags="DF")
        else:
            ip = IPv6(src=self.source, dst=self.destination, hlim=self.hop_limit, tc=self.tos,
                      fl=self.flow_label)
        tcp = TCP(sport=self.sport, dport=self.dport, seq=self.seq % 2**32, ack=self.ack % 2**32,
                  flags=self.flags, window=self.window, urgptr=self.urgent,
                  options=list(self.options if self.options is not None else self._options()))
        return _build(ether, *tags, ip, tcp, Raw(self.payload)).ljust(60, b"\0")

    def _options(self):
        if self.mss is not None:
            yield "MSS", self.mss
        if self.sack_permitted:
            yield "SAckOK", b""
        if self.tsval is not None:
            yield "Timestamp", (self.tsval % 2**32, (self.tsecr or 0) % 2**32)
        if self.wscale is not None:
            yield "NOP", None
            yield "WScale", self.wscale
        if self.sack:
            yield "NOP", None
            yield "NOP", None
            yield "SAck", tuple(edge % 2**32 for block in self.sack for edge in block)

    @classmethod
    def read(cls, frame: bytes) -> "Segment":
        """Raises AssertionError where the frame is not a sound TCP segment."""
        ether = Ether(frame)
        ip = ether[IP] if IP in ether else ether[IPv6]
        tcp = ether[TCP]
        _assert_checksums(ip, tcp)
        options = {name: value for name, value in tcp.options if name != "NOP"}
        edges = options.get("SAck", ())
        tsval, tsecr = options.get("Timestamp", (None, None))
        return cls(
            source=ip.src, destination=ip.dst, sport=tcp.sport, dport=tcp.dport,
            flags="".join(flag for flag in FLAGS if flag in str(tcp.flags)),
            seq=tcp.seq, ack=tcp.ack, window=tcp.window, payload=tcp.original[4 * tcp.dataofs:],
            mss=options.get("MSS"), wscale=options.get("WScale"),
            sack_permitted="SAckOK" in options, tsval=tsval, tsecr=tsecr,
            sack=tuple(zip(edges[::2], edges[1::2], strict=True)),
            hop_limit=ip.ttl if ip.version == 4 else ip.hlim,
            tos=ip.tos if ip.version == 4 else ip.tc,
            flow_label=0 if ip.version == 4 else ip.fl,
            tags=_tags(ether), source_mac=ether.src, destination_mac=ether.dst,
            urgent=tcp.urgptr,
        )


def _build(*layers) -> bytes:
    """As `/` and bytes() would, without a copy of each layer at each step."""
    for below, above in pairwise(layers):
        below.add_payload(above)
    for layer in layers:
        layer.explicit = True       # to scapy: no field of it stands for several values
    return bytes(layers[0])


def _tags(ether) -> tuple[tuple[int, int], ...]:
    tags, layer = [], ether
    while layer.payload.__class__ in (Dot1Q, Dot1AD):
        tags.append((layer.type, layer.payload.vlan))
        layer = layer.payload
    return tuple(tags)


def _assert_checksums(ip, tcp) -> None:
    """Together with the checksum in them the bytes sum to a zero, of either form (RFC 1071 §1)."""
    addresses = ip.original[12:20] if ip.version == 4 else ip.original[8:40]
    pseudo_header = addresses + pack("!HH", IPPROTO_TCP, len(tcp.original))
    assert checksum(pseudo_header + tcp.original) == 0, "TCP checksum"
    assert ip.version == 6 or checksum(ip.original[:4 * ip.ihl]) == 0, "IP checksum"
