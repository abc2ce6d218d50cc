"""What the control groups of this process let it take: cgroups(7), version 2.

Reading list: Linux's Documentation/admin-guide/cgroup-v2.rst (CPU, Cpuset, HugeTLB),
cgroup_namespaces(7).
A group's limit holds for those below it, too, so the least counts from our own up to the last that
a container shows of them.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

MOUNT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
BYTES_PER_KIB = KIB_PER_MIB = 1024
KIB_PER_GIB = 1024 * KIB_PER_MIB
UNLIMITED = "max"


def groups_of(own: Path = OWN, mount: Path = MOUNT) -> Sequence[Path]:
    """The folders of our group and of those above it; none where version 2 isn't in use."""
    for line in own.read_text().splitlines():
        number, _, name = line.split(":", 2)
        if number == "0":
            parts = [part for part in name.split("/") if part]
            # A group that lies beside the root of our namespace is not to be seen.
            depth = 0 if ".." in parts else len(parts)
            return [mount.joinpath(*parts[:end]) for end in range(depth, -1, -1)]
    return []


def cpu_quota(groups: Sequence[Path]) -> float | None:
    """The CPU time that it may take, in CPUs; None: all."""
    quotas = [int(quota) / int(period)
              for quota, period in map(str.split, _texts(groups, "cpu.max"))
              if quota != UNLIMITED]
    return min(quotas, default=None)


def cpuset_given(groups: Sequence[Path]) -> bool:
    """Whether somebody has said on which CPUs it runs, be it on all of them."""
    return any(_texts(groups, "cpuset.cpus"))


def hugetlb_left_kib(groups: Sequence[Path], size_kib: int) -> int | None:
    """How much of huge pages of that size it may take yet; None: all there are."""
    name = f"hugetlb.{_size_word(size_kib)}"
    left = [int(limit) - int(next(_texts([group], f"{name}.current"), "0"))
            for group in groups
            for limit in _texts([group], f"{name}.max") if limit != UNLIMITED]
    return max(min(left), 0) // BYTES_PER_KIB if left else None


def _size_word(size_kib: int) -> str:
    """As mm/hugetlb_cgroup.c writes it: 2MB, 1GB, 64KB."""
    for unit_kib, unit in ((KIB_PER_GIB, "GB"), (KIB_PER_MIB, "MB")):
        if size_kib >= unit_kib:
            return f"{size_kib // unit_kib}{unit}"
    return f"{size_kib}KB"


def _texts(groups: Sequence[Path], file: str) -> Iterator[str]:
    """Of those that have the file: the root has none, and nobody has one of a controller that is
    off."""
    for group in groups:
        try:
            yield (group / file).read_text().strip()
        except OSError:
            continue
