"""Free huge pages of all sizes, as EAL takes them."""

from collections.abc import Iterator
from pathlib import Path

from appliance.refusal import Refusal

KIB_PER_MIB = 1024


def hugepage_refusals(
    need_mib: int, folder: Path = Path("/sys/kernel/mm/hugepages")
) -> Iterator[Refusal]:
    """`folder` holds one hugepages-<size>kB for each size: Documentation/admin-guide/mm."""
    sizes_kib = {
        pool: int(pool.name.removeprefix("hugepages-").removesuffix("kB"))
        for pool in folder.glob("hugepages-*kB")
    }
    free_mib = sum(
        int((pool / "free_hugepages").read_text()) * size_kib
        for pool, size_kib in sizes_kib.items()
    ) // KIB_PER_MIB
    if free_mib >= need_mib:
        return
    page_mib = max(min(sizes_kib.values(), default=2048) // KIB_PER_MIB, 1)
    pages = -(-(need_mib - free_mib) // page_mib)
    yield Refusal(
        f"memory.size_mib asks for {need_mib} MiB of huge pages, {free_mib} MiB are free;"
        f" reserve {pages} more pages of {page_mib} MiB (vm.nr_hugepages),"
        " or set memory.hugepages to false"
    )
