"""What the wire knows of a frame: is it a TCP segment, and which.

Tags are skipped.  Fragments, and segments behind IPv6 extension headers, which no host of the
lab sends, count as other frames.

Reading list: RFC 9293 §3.1, RFC 791 §3.1, RFC 8200 §3, IEEE 802.1Q-2022 §9.6.
"""

from typing import NamedTuple

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
LETTERS = {"F": FIN, "S": SYN, "R": RST, "A": ACK}
NAMED_FLAGS = FIN | SYN | RST | ACK     # those that say what a segment is for

TAGS = (b"\x81\x00", b"\x88\xa8")       # C-tag, S-tag
IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
TCP = 6                                 # IANA protocol number
TCP_BYTES = 20


class Segment(NamedTuple):
    """A TCP segment in a frame.  `tcp` and `end` are offsets from the frame's first byte."""

    flow: bytes         # addresses and ports in the frame's order: of one direction
    version: int        # of IP
    sport: int
    dport: int
    flags: int          # all eight
    payload_bytes: int
    tcp: int
    end: int            # of the payload; padding may follow


def flag_bits(letters: str) -> int:
    """The bits of flags by their letters: "SA" is SYN and ACK."""
    if unknown := set(letters) - set(LETTERS):
        raise ValueError(f"no flag: {', '.join(sorted(unknown))}")
    bits = 0
    for letter in letters:
        bits |= LETTERS[letter]
    return bits


def segment_of(frame: bytes) -> Segment | None:
    """The segment in a frame; None where it holds no whole TCP header."""
    at = 12
    while frame[at:at + 2] in TAGS:
        at += 4
    ethertype, ip = frame[at:at + 2], at + 2
    length = len(frame)
    if ethertype == IPV4 and length >= ip + 20:
        fragmented = frame[ip + 6] & 0x3F or frame[ip + 7]
        if frame[ip + 9] != TCP or fragmented:
            return None
        version, tcp = 4, ip + (frame[ip] & 0x0F) * 4
        end = ip + (frame[ip + 2] << 8 | frame[ip + 3])
        addresses = frame[ip + 12:ip + 20]
    elif ethertype == IPV6 and length >= ip + 40:
        if frame[ip + 6] != TCP:
            return None
        version, tcp = 6, ip + 40
        end = tcp + (frame[ip + 4] << 8 | frame[ip + 5])
        addresses = frame[ip + 8:ip + 40]
    else:
        return None
    if tcp + TCP_BYTES > end or end > length:
        return None
    return Segment(
        flow=addresses + frame[tcp:tcp + 4], version=version,
        sport=frame[tcp] << 8 | frame[tcp + 1], dport=frame[tcp + 2] << 8 | frame[tcp + 3],
        flags=frame[tcp + 13], payload_bytes=end - tcp - (frame[tcp + 12] >> 4) * 4,
        tcp=tcp, end=end)
