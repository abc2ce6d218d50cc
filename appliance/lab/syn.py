"""Templates of SYN frames as real stacks send them, with what varies left at zero.

Reading list: RFC 9293 §3.1-3.2, RFC 7323 §2-3, RFC 2018 §2, RFC 1071.
"""

import ipaddress
import struct
from dataclasses import dataclass

ETHERNET_BYTES = 14
IPV4_BYTES = 20
IPV6_BYTES = 40
TCP = 6                     # IANA protocol number
SYN = 0x02

# Options as three families of clients order them, in four-byte multiples:
# Linux and Android; Windows, which offers no timestamps; a minimal stack.
LINUX = bytes.fromhex("020405b4 0402 080a 00000000 00000000 01 030307")
WINDOWS = bytes.fromhex("020405b4 01 030308 01 01 0402")
MINIMAL = bytes.fromhex("020405b4")
STACKS = ((LINUX, 64240), (WINDOWS, 64240), (MINIMAL, 65535))
TSVAL_IN_LINUX = 8          # offset of TSval in those options


@dataclass(frozen=True)
class Template:
    """A frame and the offsets and sums that `Volley` needs to vary it.

    Offsets count from the frame's first byte; 0 says that the field is not there.  Sums are
    one's complement sums of 16-bit words, unfolded, with the varying fields at zero.
    """

    frame: bytes
    ip_checksum: int
    source: int
    tcp: int
    tsval: int
    source_base: int
    source_mask: int
    ip_sum: int
    tcp_sum: int


def words_sum(data: bytes) -> int:
    return sum(struct.unpack(f"!{len(data) // 2}H", data))


def templates(destination: str, dport: int, sources: str, source_mac: str,
              destination_mac: str) -> list[Template]:
    """One template for each stack.  `sources` is a prefix of the destination's family."""
    to = ipaddress.ip_address(destination)
    prefix = ipaddress.ip_network(sources)
    if to.version != prefix.version:
        raise ValueError(f"{sources} and {destination} are of two families")
    macs = mac_bytes(destination_mac) + mac_bytes(source_mac)
    return [_template(macs, to.packed, prefix, dport, options, window)
            for options, window in STACKS]


def mac_bytes(text: str) -> bytes:
    mac = bytes.fromhex(text.replace(":", ""))
    if len(mac) != 6:
        raise ValueError(f"{text} is no MAC address")
    return mac


def _template(macs: bytes, to: bytes, prefix: ipaddress.IPv4Network | ipaddress.IPv6Network,
              dport: int, options: bytes, window: int) -> Template:
    segment = struct.pack("!HHIIBBHHH", 0, dport, 0, 0, (20 + len(options)) // 4 << 4, SYN,
                          window, 0, 0) + options
    # The sums take the address's last 32 bits as zero: those are the ones written anew.
    base = int.from_bytes(prefix.network_address.packed[-4:], "big")
    source = prefix.network_address.packed[:-4] + bytes(4)
    version4 = prefix.version == 4
    header = _ipv4(source, to, len(segment)) if version4 else _ipv6(source, to, len(segment))
    tcp = ETHERNET_BYTES + len(header)
    return Template(
        frame=macs + (b"\x08\x00" if version4 else b"\x86\xdd") + header + segment,
        ip_checksum=ETHERNET_BYTES + 10 if version4 else 0,
        source=ETHERNET_BYTES + (12 if version4 else 20),
        tcp=tcp,
        tsval=tcp + 20 + TSVAL_IN_LINUX if options is LINUX else 0,
        source_base=base,
        source_mask=int(prefix.hostmask) & 0xFFFFFFFF,
        ip_sum=words_sum(header),
        tcp_sum=words_sum(source + to + struct.pack("!HH", TCP, len(segment)) + segment),
    )


def _ipv4(source: bytes, to: bytes, payload_bytes: int) -> bytes:
    dont_fragment = 0x4000
    return struct.pack("!BBHHHBBH", 0x45, 0, IPV4_BYTES + payload_bytes, 0, dont_fragment, 64,
                       TCP, 0) + source + to


def _ipv6(source: bytes, to: bytes, payload_bytes: int) -> bytes:
    return struct.pack("!IHBB", 6 << 28, payload_bytes, TCP, 64) + source + to
