"""Where there are huge pages DPDK's memory lies in them: tables, buffers and rings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..proxy.segments import Segment, replace

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, wscale=7,
              sack_permitted=True, tsval=1000)
SYNS = 200
MEMORY_MIB = 128
POOL = Path("/sys/kernel/mm/hugepages/hugepages-2048kB")
SPARE_PAGES = 32            # beyond what is asked for


def pages(what: str) -> int:
    return int((POOL / what).read_text())


@pytest.fixture
def huge_pages() -> Iterator[int]:
    """How many are free, now that some are reserved for the test."""
    before = pages("nr_hugepages")
    (POOL / "nr_hugepages").write_text(f"{before + MEMORY_MIB // 2 + SPARE_PAGES}\n")
    try:
        yield pages("free_hugepages")
    finally:
        (POOL / "nr_hugepages").write_text(f"{before}\n")


def test_memory_is_of_huge_pages_and_goes_back(plane, captures, huge_pages):
    captures.from_client += [replace(SYN, sport=1024 + at).frame() for at in range(SYNS)]
    told = plane(hugepages=True, memory_mib=MEMORY_MIB, received=SYNS, **captures.devices())
    assert told.counters.synack_sent == SYNS
    assert told.hugetlb_kib >= MEMORY_MIB << 10
    assert pages("free_hugepages") == huge_pages


def test_without_them_none_is_taken(plane, huge_pages):
    assert plane(hugepages=False).hugetlb_kib == 0
