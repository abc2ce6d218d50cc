"""TCP segments in Ethernet frames, written and read without a stack's help.

Both contestants of a comparison are judged by what stands here, so nothing of the code under
test takes part.

Reading list: RFC 9293 §3.1-3.2, RFC 7323 §2-3, RFC 2018 §2-3, RFC 791 §3.1, RFC 8200 §3, RFC 1071.
"""

import struct
from dataclasses import dataclass
from ipaddress import ip_address

from appliance.lab.template import TCP, mac_bytes, words_sum

FLAGS = "FSRPAUEC"                          # from the lowest bit up
IPV4, IPV6 = 0x0800, 0x86DD                 # ethertypes
ETHERNET = struct.Struct("!6s6sH")
IPV4_HEADER = struct.Struct("!BBHHHBBH4s4s")
IPV6_HEADER = struct.Struct("!IHBB16s16s")
TCP_HEADER = struct.Struct("!HHIIBBHHH")
FRAME_BYTES_MIN = 60
DONT_FRAGMENT = 0x4000
END, NOP, MSS, WSCALE, SACK_PERMITTED, SACK, TIMESTAMPS = 0, 1, 2, 3, 4, 5, 8


@dataclass(frozen=True)
class Segment:
    """What two TCP ends tell each other in one frame.  Numbers are those on the wire."""

    source: str
    destination: str
    sport: int
    dport: int
    flags: str
    seq: int = 0
    ack: int = 0
    window: int = 64240
    mss: int | None = None
    wscale: int | None = None
    sack_permitted: bool = False
    timestamps: tuple[int, int] | None = None       # TSval, TSecr
    sack: tuple[tuple[int, int], ...] = ()
    payload: bytes = b""
    hop_limit: int = 64
    traffic_class: int = 0
    sound: bool = True                              # both checksums were right

    def frame(self, source_mac: str, destination_mac: str) -> bytes:
        from_, to = ip_address(self.source).packed, ip_address(self.destination).packed
        options = self._options()
        bits = sum(1 << FLAGS.index(flag) for flag in self.flags)
        header = TCP_HEADER.pack(self.sport, self.dport, self.seq & 0xFFFFFFFF,
                                 self.ack & 0xFFFFFFFF, (20 + len(options)) // 4 << 4, bits,
                                 self.window, 0, 0)
        tcp = bytearray(header + options + self.payload)
        tcp[16:18] = checksum(pseudo_header(from_, to, len(tcp)) + tcp)
        if len(from_) == 4:
            ethertype, ip = IPV4, self._ipv4(from_, to, len(tcp))
        else:
            ethertype, ip = IPV6, IPV6_HEADER.pack(
                6 << 28 | self.traffic_class << 20, len(tcp), TCP, self.hop_limit, from_, to)
        ethernet = ETHERNET.pack(mac_bytes(destination_mac), mac_bytes(source_mac), ethertype)
        return (ethernet + ip + tcp).ljust(FRAME_BYTES_MIN, b"\0")

    def _ipv4(self, from_: bytes, to: bytes, tcp_bytes: int) -> bytes:
        header = bytearray(IPV4_HEADER.pack(
            0x45, self.traffic_class, IPV4_HEADER.size + tcp_bytes, 0, DONT_FRAGMENT,
            self.hop_limit, TCP, 0, from_, to))
        header[10:12] = checksum(header)
        return bytes(header)

    def _options(self) -> bytes:
        options = b""
        if self.mss is not None:
            options += struct.pack("!BBH", MSS, 4, self.mss)
        if self.sack_permitted:
            options += bytes((SACK_PERMITTED, 2))
        if self.timestamps is not None:
            tsval, tsecr = self.timestamps
            options += struct.pack("!BBII", TIMESTAMPS, 10, tsval & 0xFFFFFFFF, tsecr & 0xFFFFFFFF)
        if self.wscale is not None:
            options += bytes((WSCALE, 3, self.wscale))
        if self.sack:
            options += bytes((SACK, 2 + 8 * len(self.sack)))
            for left, right in self.sack:
                options += struct.pack("!II", left & 0xFFFFFFFF, right & 0xFFFFFFFF)
        return options + bytes((NOP,)) * (-len(options) % 4)


def read(frame: bytes) -> Segment | None:
    """The segment of an untagged frame; None where there is no whole one."""
    _, _, ethertype = ETHERNET.unpack_from(frame)
    packet = frame[ETHERNET.size:]
    if ethertype == IPV4 and len(packet) >= 40 and packet[0] == 0x45:
        _, traffic_class, total, _, fragment, hop_limit, protocol, _, from_, to = (
            IPV4_HEADER.unpack_from(packet))
        sound = checksum(packet[:20]) == b"\0\0"
        tcp = packet[20:total]
        if fragment & 0x3FFF:
            return None
    elif ethertype == IPV6 and len(packet) >= 60:
        word, length, protocol, hop_limit, from_, to = IPV6_HEADER.unpack_from(packet)
        traffic_class, sound = word >> 20 & 0xFF, True
        tcp = packet[40:40 + length]
    else:
        return None
    if protocol != TCP or len(tcp) < 20 or not 20 <= (tcp[12] >> 4) * 4 <= len(tcp):
        return None
    sound = sound and checksum(pseudo_header(from_, to, len(tcp)) + tcp) == b"\0\0"
    return _read_tcp(tcp, str(ip_address(from_)), str(ip_address(to)), hop_limit, traffic_class,
                     sound)


def _read_tcp(tcp: bytes, source: str, destination: str, hop_limit: int, traffic_class: int,
              sound: bool) -> Segment:
    sport, dport, seq, ack, offset, bits, window, _, _ = TCP_HEADER.unpack_from(tcp)
    header_bytes = (offset >> 4) * 4
    options = _options_of(tcp[20:header_bytes])
    timestamps = options.get(TIMESTAMPS)
    edges = options.get(SACK, b"")
    numbers = struct.unpack(f"!{len(edges) // 4}I", edges)
    return Segment(
        source, destination, sport, dport,
        "".join(flag for bit, flag in enumerate(FLAGS) if bits >> bit & 1), seq, ack, window,
        mss=int.from_bytes(options[MSS], "big") if MSS in options else None,
        wscale=options[WSCALE][0] if WSCALE in options else None,
        sack_permitted=SACK_PERMITTED in options,
        timestamps=struct.unpack("!II", timestamps) if timestamps is not None else None,
        sack=tuple(zip(numbers[::2], numbers[1::2], strict=True)),
        payload=tcp[header_bytes:], hop_limit=hop_limit, traffic_class=traffic_class, sound=sound)


def _options_of(data: bytes) -> dict[int, bytes]:
    """Contents by kind, as far as the list is well formed; the last of two wins."""
    options: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == NOP:
            at += 1
            continue
        if at + 1 == len(data) or not 2 <= data[at + 1] <= len(data) - at:
            break
        options[data[at]] = data[at + 2:at + data[at + 1]]
        at += data[at + 1]
    return options


def pseudo_header(source: bytes, destination: bytes, tcp_bytes: int) -> bytes:
    """Zeros apart the same for both families, so the sum is as well."""
    return source + destination + struct.pack("!HH", TCP, tcp_bytes)


def checksum(data: bytes | bytearray) -> bytes:
    """The field's two bytes; zeros over data that holds its right checksum."""
    total = words_sum(bytes(data) + bytes(len(data) % 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack("!H", ~total & 0xFFFF)
