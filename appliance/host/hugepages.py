"""Free huge pages of all sizes, as EAL takes them."""

from collections.abc import Iterator
from pathlib import Path

from appliance.refusal import Refusal

KIB_PER_MIB = 1024


POOLS = Path("/sys/kernel/mm/hugepages")


def hugepages_free(folder: Path = POOLS) -> tuple[int, list[int]]:
    """How much is free, and the sizes that there are, in MiB.  `folder` holds one
    hugepages-<size>kB for each size: Documentation/admin-guide/mm."""
    sizes_kib = {
        pool: int(pool.name.removeprefix("hugepages-").removesuffix("kB"))
        for pool in folder.glob("hugepages-*kB")
    }
    free_mib = sum(
        int((pool / "free_hugepages").read_text()) * size_kib
        for pool, size_kib in sizes_kib.items()
    ) // KIB_PER_MIB
    return free_mib, sorted(max(size_kib // KIB_PER_MIB, 1) for size_kib in sizes_kib.values())


def hugepage_refusals(need_mib: int, folder: Path = POOLS) -> Iterator[Refusal]:
    free_mib, sizes_mib = hugepages_free(folder)
    if free_mib >= need_mib:
        return
    page_mib = min(sizes_mib, default=2)
    pages = -(-(need_mib - free_mib) // page_mib)
    yield Refusal(
        f"memory.size_mib asks for {need_mib} MiB of huge pages, {free_mib} MiB are free;"
        f" reserve {pages} more pages of {page_mib} MiB (vm.nr_hugepages),"
        " or set memory.hugepages to false"
    )
