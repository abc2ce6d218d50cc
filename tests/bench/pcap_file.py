"""Capture files of frames: pcap-savefile(5)."""

import struct
from collections.abc import Iterable
from pathlib import Path

# Magic for microseconds, version 2.4, UTC, accuracy, longest frame, Ethernet.
_FILE_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def pcap_write(path: Path, frames: Iterable[bytes]) -> None:
    with path.open("wb") as file:
        file.write(_FILE_HEADER)
        for frame in frames:
            file.write(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame)
