"""Free huge pages of all sizes, as EAL takes them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from appliance.host.cgroup import KIB_PER_MIB, hugetlb_left_kib
from appliance.refusal import Refusal

POOLS = Path("/sys/kernel/mm/hugepages")


@dataclass(frozen=True)
class _Pool:
    """Of pages of one size."""

    size_kib: int
    free_kib: int       # as far as the control groups allow it
    limited: bool       # by them


def hugepages_free(
    folder: Path = POOLS, groups: Sequence[Path] = ()
) -> tuple[int, list[int]]:
    """How much is free, and the sizes that there are, in MiB.  `folder` holds one
    hugepages-<size>kB for each size: Documentation/admin-guide/mm.  What is free counts as far as
    the control `groups` allow it."""
    pools = _pools(folder, groups)
    sizes_mib = sorted(max(pool.size_kib // KIB_PER_MIB, 1) for pool in pools)
    return _free_mib(pools), sizes_mib


def hugepages_limited(folder: Path = POOLS, groups: Sequence[Path] = ()) -> int | None:
    """How much is free of the sizes that the control `groups` limit, in MiB; None where they limit
    none.  Of another size all is everybody's, and not meant for those who were given a part."""
    pools = [pool for pool in _pools(folder, groups) if pool.limited]
    return _free_mib(pools) if pools else None


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


def _free_mib(pools: Sequence[_Pool]) -> int:
    return sum(pool.free_kib for pool in pools) // KIB_PER_MIB


def _pools(folder: Path, groups: Sequence[Path]) -> list[_Pool]:
    pools = []
    for pool in folder.glob("hugepages-*kB"):
        size_kib = int(pool.name.removeprefix("hugepages-").removesuffix("kB"))
        free_kib = int((pool / "free_hugepages").read_text()) * size_kib
        left_kib = hugetlb_left_kib(groups, size_kib)
        if left_kib is not None:
            free_kib = min(free_kib, left_kib)
        pools.append(_Pool(size_kib, free_kib, limited=left_kib is not None))
    return pools
