"""Who runs before whom, where others use the machine as well: nice(2), sched(7)."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

FAVOURED = -20


def be_favoured() -> None:
    """By nice and, where the kernel groups processes by their session, as a group."""
    os.setpriority(os.PRIO_PROCESS, 0, FAVOURED)
    with suppress(FileNotFoundError):
        Path("/proc/self/autogroup").write_text(str(FAVOURED))


@contextmanager
def priority(nice: int) -> Iterator[None]:
    """Of what is started meanwhile."""
    before = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, nice)
    try:
        yield
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
