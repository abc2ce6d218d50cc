"""Segments as plain tuples, and frames of them: quick enough for a million steps of a model.

tests/proxy/segments says the same in scapy's words; test_frames holds one against the other.
Reading checks both checksums: whole words that lie one behind the other are, modulo 2^16 - 1, the
one's complement sum of RFC 1071 §1.
"""

from ipaddress import ip_address
from struct import Struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK = 0x01, 0x02, 0x04, 0x08, 0x10
LETTERS = "FSRPAUEC"
MACS = {"client": bytes.fromhex("020000000001"), "server": bytes.fromhex("020000000002")}
FRAME_BYTES_MIN = 60
TCP = Struct("!HHIIHHHH")
IPV4 = Struct("!BBHHHBBH")
IPV6 = Struct("!IHBB")
ONES = 0xFFFF                       # the modulus of one's complement sums of 16 bits


class Said(NamedTuple):
    """What a segment says; numbers as on the wire."""

    flags: int
    seq: int = 0
    ack: int = 0
    window: int = 0
    payload: bytes = b""
    mss: int | None = None
    wscale: int | None = None
    sack_permitted: bool = False
    tsval: int | None = None
    tsecr: int | None = None
    sack: tuple[tuple[int, int], ...] = ()

    def __str__(self) -> str:
        letters = "".join(letter for bit, letter in enumerate(LETTERS) if self.flags >> bit & 1)
        more = {name: len(value) if name == "payload" else value
                for name, value in self._asdict().items()
                if name != "flags" and value not in (None, b"", (), False)}
        return f"{letters} {more}"

    __repr__ = __str__


class Way(NamedTuple):
    """Who sends to whom."""

    source: bytes
    sport: int
    destination: bytes
    dport: int

    @property
    def back(self) -> "Way":
        return Way(self.destination, self.dport, self.source, self.sport)


def way(source: str, sport: int, destination: str, dport: int) -> Way:
    return Way(ip_address(source).packed, sport, ip_address(destination).packed, dport)


def pack(there: Way, said: Said, sender: str = "client") -> bytes:
    """The frame, padded as on a wire; `sender` is the side whose MAC address is the source."""
    options = _options(said)
    tcp = TCP.pack(there.sport, there.dport, said.seq, said.ack,
                   (20 + len(options)) << 10 | said.flags, said.window, 0, 0)
    tcp += options + said.payload
    tcp = tcp[:16] + _checksum(_pseudo(there, len(tcp)) + _words(tcp)) + tcp[18:]
    receiver = "server" if sender == "client" else "client"
    ethernet = MACS[receiver] + MACS[sender]
    if len(there.source) == 4:
        ip = IPV4.pack(0x45, 0, 20 + len(tcp), 0, 0x4000, 57, 6, 0)
        ip += there.source + there.destination
        ip = ip[:10] + _checksum(_words(ip)) + ip[12:]
        return (ethernet + b"\x08\x00" + ip + tcp).ljust(FRAME_BYTES_MIN, b"\0")
    ip = IPV6.pack(6 << 28, len(tcp), 6, 57) + there.source + there.destination
    return ethernet + b"\x86\xdd" + ip + tcp


def unpack(frame: bytes) -> tuple[Way, Said]:
    """Raises AssertionError where a checksum is wrong.  IP options and extensions are not known."""
    if frame[12] == 0x08:
        assert _words(frame[14:34]) % ONES == 0, "IP checksum"
        tcp = frame[34:14 + int.from_bytes(frame[16:18], "big")]
        source, destination = frame[26:30], frame[30:34]
    else:
        tcp = frame[54:54 + int.from_bytes(frame[18:20], "big")]
        source, destination = frame[22:38], frame[38:54]
    sport, dport, seq, ack, offset_flags, window, _, _ = TCP.unpack_from(tcp)
    there = Way(source, sport, destination, dport)
    assert (_pseudo(there, len(tcp)) + _words(tcp)) % ONES == 0, "TCP checksum"
    header = offset_flags >> 12 << 2
    said = Said(offset_flags & 0x1FF, seq, ack, window, tcp[header:])
    return there, said if header == 20 else said._replace(**_read_options(tcp[20:header]))


def _words(octets: bytes) -> int:
    return int.from_bytes(octets + b"\0" * (len(octets) & 1), "big")


def _pseudo(there: Way, tcp_bytes: int) -> int:
    return _words(there.source) + _words(there.destination) + 6 + tcp_bytes


def _checksum(total: int) -> bytes:
    return (ONES - total % ONES).to_bytes(2, "big")


def _options(said: Said) -> bytes:
    options = b""
    if said.mss is not None:
        options += b"\x02\x04" + said.mss.to_bytes(2, "big")
    if said.sack_permitted:
        options += b"\x01\x01\x04\x02"
    if said.tsval is not None:
        options += b"\x01\x01\x08\x0a" + said.tsval.to_bytes(4, "big")
        options += (said.tsecr or 0).to_bytes(4, "big")
    if said.wscale is not None:
        options += b"\x01\x03\x03" + bytes([said.wscale])
    if said.sack:
        edges = b"".join(edge.to_bytes(4, "big") for block in said.sack for edge in block)
        options += b"\x01\x01\x05" + bytes([2 + len(edges)]) + edges
    return options


def _read_options(octets: bytes) -> dict:
    fields, at = {}, 0
    while at < len(octets) and octets[at] != 0:
        kind = octets[at]
        if kind == 1:
            at += 1
            continue
        length = octets[at + 1]
        value = octets[at + 2:at + length]
        if kind == 2:
            fields["mss"] = int.from_bytes(value, "big")
        elif kind == 3:
            fields["wscale"] = value[0]
        elif kind == 4:
            fields["sack_permitted"] = True
        elif kind == 8:
            fields["tsval"] = int.from_bytes(value[:4], "big")
            fields["tsecr"] = int.from_bytes(value[4:], "big")
        elif kind == 5:
            edges = [int.from_bytes(value[n:n + 4], "big") for n in range(0, len(value), 4)]
            fields["sack"] = tuple(zip(edges[::2], edges[1::2], strict=True))
        at += length
    return fields
