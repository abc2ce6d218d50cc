"""A tree of control groups as the kernel shows it, version 2, and huge pages beside it."""

from collections.abc import Sequence
from pathlib import Path

from appliance.host.cgroup import groups_of

MIB = 1 << 20
SLICE = "kubepods.slice"
POD = f"{SLICE}/pod7.slice"


def control_groups(folder: Path, pod: str = "", slice_: str = "") -> Sequence[Path]:
    """Those of a process in the pod's group, each with files from lines of `name: content`."""
    own, mount = folder / "own", folder / "cgroup"
    own.write_text(f"1:name=systemd:/\n0::/{POD}\n")
    (mount / POD).mkdir(parents=True)
    for name, text in ((POD, pod), (SLICE, slice_)):
        for line in text.splitlines():
            file, _, content = line.partition(": ")
            (mount / name / file).write_text(f"{content}\n")
    return groups_of(own, mount)


def pools_of(folder: Path, free: int, size_kib: int = 2048) -> Path:
    """A /sys/kernel/mm/hugepages with so many free pages, 2 MiB each; called again, with those of
    another size, too."""
    pool = folder / "pools" / f"hugepages-{size_kib}kB"
    pool.mkdir(parents=True)
    (pool / "free_hugepages").write_text(f"{free}\n")
    return pool.parent
