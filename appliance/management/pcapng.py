"""A pcapng file in parts: its head, packets as they come, its end.

Packages on PyPI read this format, or write it without what a packet carries here: a direction and a
comment.  Reading list: draft-ietf-opsawg-pcapng §4.1 (section header), §4.2 (interface), §4.3
(packet), §4.6 (statistics), §3.5 (options).
"""

import struct
from collections.abc import Sequence

_SECTION, _INTERFACE, _PACKET, _STATISTICS = 0x0A0D0D0A, 1, 6, 5
_BYTE_ORDER = 0x1A2B3C4D
_LINKTYPE_ETHERNET = 1
_LENGTH_UNKNOWN = -1
_COMMENT = 1
_IF_NAME, _IF_TSRESOL, _EPB_FLAGS, _ISB_IFDROP, _SHB_USERAPPL = 2, 9, 2, 5, 4
_NANOSECONDS = bytes([9])       # 10^-9
_INBOUND, _OUTBOUND = struct.pack("<I", 1), struct.pack("<I", 2)


def file_begin(application: str, interfaces: Sequence[str], snap_bytes: int) -> bytes:
    """`interfaces` are names, in the order of their numbers."""
    section = struct.pack("<IHHq", _BYTE_ORDER, 1, 0, _LENGTH_UNKNOWN)
    parts = [_block(_SECTION, section, [(_SHB_USERAPPL, application.encode())])]
    for name in interfaces:
        head = struct.pack("<HHI", _LINKTYPE_ETHERNET, 0, snap_bytes)
        parts.append(_block(
            _INTERFACE, head, [(_IF_NAME, name.encode()), (_IF_TSRESOL, _NANOSECONDS)]))
    return b"".join(parts)


def packet(
    interface: int, time_ns: int, sent: bool, frame_bytes: int, captured: bytes, comment: str = ""
) -> bytes:
    head = struct.pack(
        "<IIIII", interface, time_ns >> 32, time_ns & 0xFFFFFFFF, len(captured), frame_bytes)
    options = [(_EPB_FLAGS, _OUTBOUND if sent else _INBOUND)]
    if comment:
        options.append((_COMMENT, comment.encode()))
    return _block(_PACKET, head + _padded(captured), options)


def file_end(interface: int, time_ns: int, lost: int) -> bytes:
    """`lost` packets aren't in the file."""
    head = struct.pack("<III", interface, time_ns >> 32, time_ns & 0xFFFFFFFF)
    return _block(_STATISTICS, head, [(_ISB_IFDROP, struct.pack("<Q", lost))])


def _block(kind: int, body: bytes, options: Sequence[tuple[int, bytes]]) -> bytes:
    parts = [struct.pack("<HH", code, len(value)) + _padded(value) for code, value in options]
    content = body + b"".join(parts) + bytes(4)        # opt_endofopt
    length = struct.pack("<I", len(content) + 12)
    return struct.pack("<I", kind) + length + content + length


def _padded(value: bytes) -> bytes:
    """To 32 bits."""
    return value + bytes(-len(value) % 4)
