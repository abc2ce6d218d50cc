"""What a daemon holds of the system at rest: proc(5)."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from growth import TOO_FEW, Growth


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def memory_kib(pid: int) -> int:
    """Pages of its own: RssAnon."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("RssAnon:"))
    return int(line.split()[1])


def show_rests(meanwhile: Mapping[str, int], grown: Growth | None, faults: Sequence[str]) -> None:
    """What was done between its rests, and what came of it."""
    print("meanwhile: " + ", ".join(f"{what} {count}" for what, count in sorted(meanwhile.items())))
    print(f"memory: {grown or TOO_FEW}")
    for fault in faults:
        print(f"fault: {fault}")
