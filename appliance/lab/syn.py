"""Templates of SYN frames as real stacks send them, with what varies left at zero.

Reading list: RFC 9293 §3.1-3.2, RFC 7323 §2-3, RFC 2018 §2, RFC 6335 §6.
"""

import struct

from appliance.lab.template import TCP, Body, Ends, Template, ends_of, template

SYN = 0x02

# Options as three families of clients order them, in four-byte multiples:
# Linux and Android; Windows, which offers no timestamps; a minimal stack.
LINUX = bytes.fromhex("020405b4 0402 080a 00000000 00000000 01 030307")
WINDOWS = bytes.fromhex("020405b4 01 030308 01 01 0402")
MINIMAL = bytes.fromhex("020405b4")
STACKS = ((LINUX, 64240), (WINDOWS, 64240), (MINIMAL, 65535))
TSVAL_IN_LINUX = 8          # offset of TSval in those options
# Ephemeral ports: 49152..65535.
PORT, PORT_MASK = 0xC000, 0x3FFF
ALL = 0xFFFF
TCP_CHECKSUM = 16           # its offset


def templates(destination: str, dport: int, sources: str, source_mac: str,
              destination_mac: str) -> list[Template]:
    """One template for each stack.  `sources` is a prefix of the destination's family."""
    return stacks(ends_of(destination, sources, source_mac, destination_mac), dport)


def stacks(ends: Ends, dport: int) -> list[Template]:
    return [template(ends, syn(dport, options, window)) for options, window in STACKS]


def syn(dport: int, options: bytes, window: int) -> Body:
    """Port, ISN and TSval are drawn."""
    drawn = [(0, PORT_MASK), (4, ALL), (6, ALL)]
    if options is LINUX:
        drawn += [(20 + TSVAL_IN_LINUX, ALL), (22 + TSVAL_IN_LINUX, ALL)]
    return Body(TCP, header(dport, SYN, options, window), drawn, TCP_CHECKSUM)


def header(dport: int, flags: int, options: bytes = b"", window: int = 64240) -> bytes:
    """TCP's, from the first of the ephemeral ports; both numbers are 0."""
    return struct.pack("!HHIIBBHHH", PORT, dport, 0, 0, (20 + len(options)) // 4 << 4, flags,
                       window, 0, 0) + options
