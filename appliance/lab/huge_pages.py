"""Huge pages of this host, reserved for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

POOL = Path("/proc/sys/vm/nr_hugepages")
PAGE_MIB = 2


@contextmanager
def reserved(mib: int) -> Iterator[None]:
    """So many more than there are, as far as memory allows."""
    before = int(POOL.read_text())
    POOL.write_text(str(before + mib // PAGE_MIB))
    try:
        yield
    finally:
        POOL.write_text(str(before))
