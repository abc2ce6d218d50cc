"""Where there are huge pages DPDK's memory lies in them: tables, buffers and rings."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from appliance.lab.huge_pages import reserved

from ..proxy.segments import Segment, replace

SYN = Segment("10.1.0.1", "10.0.0.2", 40000, 80, flags="S", mss=1460, wscale=7,
              sack_permitted=True, tsval=1000)
SYNS = 200
MEMORY_MIB = 128
FREE = Path("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages")
SPARE_MIB = 64              # beyond what is asked for


def free_pages() -> int:
    return int(FREE.read_text())


@pytest.fixture
def huge_pages() -> Iterator[int]:
    """How many are free, now that some are reserved for the test."""
    with reserved(MEMORY_MIB + SPARE_MIB):
        yield free_pages()


def test_memory_is_of_huge_pages_and_goes_back(plane, captures, huge_pages):
    captures.from_client += [replace(SYN, sport=1024 + at).frame() for at in range(SYNS)]
    told = plane(hugepages=True, memory_mib=MEMORY_MIB, received=SYNS, **captures.devices())
    assert told.counters.synack_sent == SYNS
    assert told.hugetlb_kib >= MEMORY_MIB << 10
    assert free_pages() == huge_pages


def test_without_them_none_is_taken(plane, huge_pages):
    assert plane(hugepages=False).hugetlb_kib == 0
