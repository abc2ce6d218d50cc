"""Free huge pages of all sizes, as EAL takes them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.host.cgroup import KIB_PER_MIB, hugetlb_left_kib
from appliance.refusal import Refusal

POOLS = Path("/sys/kernel/mm/hugepages")


def hugepages_free(
    folder: Path = POOLS, groups: Sequence[Path] = ()
) -> tuple[int, list[int]]:
    """How much is free, and the sizes that there are, in MiB.  `folder` holds one
    hugepages-<size>kB for each size: Documentation/admin-guide/mm.  What is free counts as far as
    the control `groups` allow it."""
    free_kib = 0
    sizes_kib = _sizes_kib(folder)
    for pool, size_kib in sizes_kib.items():
        in_pool_kib = int((pool / "free_hugepages").read_text()) * size_kib
        left_kib = hugetlb_left_kib(groups, size_kib)
        free_kib += in_pool_kib if left_kib is None else min(in_pool_kib, left_kib)
    sizes_mib = sorted(max(size_kib // KIB_PER_MIB, 1) for size_kib in sizes_kib.values())
    return free_kib // KIB_PER_MIB, sizes_mib


def hugepages_limited(folder: Path = POOLS, groups: Sequence[Path] = ()) -> bool:
    """Whether the control `groups` limit how much may be taken."""
    return any(hugetlb_left_kib(groups, size_kib) is not None
               for size_kib in _sizes_kib(folder).values())


def hugepage_refusals(
    need_mib: int, folder: Path = POOLS, groups: Sequence[Path] = ()
) -> Iterator[Refusal]:
    free_mib, sizes_mib = hugepages_free(folder, groups)
    if free_mib >= need_mib:
        return
    page_mib = min(sizes_mib, default=2)
    pages = -(-(need_mib - free_mib) // page_mib)
    in_host_mib, _ = hugepages_free(folder)
    advice = (
        f"reserve {pages} more pages of {page_mib} MiB (vm.nr_hugepages)" if in_host_mib < need_mib
        else "raise the control group's limit (hugetlb.*.max; hugepages-2Mi of Kubernetes)"
    )
    yield Refusal(
        f"memory.size_mib asks for {need_mib} MiB of huge pages, {free_mib} MiB are free;"
        f" {advice}, or set memory.hugepages to false"
    )


def _sizes_kib(folder: Path) -> dict[Path, int]:
    """By the pool's folder."""
    return {
        pool: int(pool.name.removeprefix("hugepages-").removesuffix("kB"))
        for pool in folder.glob("hugepages-*kB")
    }
