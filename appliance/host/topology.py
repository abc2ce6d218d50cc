"""Which cores and devices lie together: Documentation/ABI/stable/sysfs-devices-node, -cpu."""

from pathlib import Path

SYSTEM = Path("/sys/devices/system")


def cpu_list(text: str) -> set[int]:
    """ "0-2,5" as {0, 1, 2, 5}."""
    found: set[int] = set()
    for part in filter(None, text.strip().split(",")):
        first, _, last = part.partition("-")
        found |= set(range(int(first), int(last or first) + 1))
    return found


def node_of_core(core: int, system: Path = SYSTEM) -> int | None:
    """Its NUMA node; None where the host has no such notion."""
    for node in sorted((system / "node").glob("node[0-9]*")):
        if core in cpu_list(_text(node / "cpulist")):
            return int(node.name.removeprefix("node"))
    return None


def node_of_device(device: Path) -> int | None:
    """Of a device's folder below /sys; None where it lies near none in particular."""
    text = _text(device / "numa_node")
    return int(text) if text and int(text) >= 0 else None


def siblings_of_core(core: int, system: Path = SYSTEM) -> set[int]:
    """The other hardware threads of its core."""
    shared = system / "cpu" / f"cpu{core}" / "topology" / "thread_siblings_list"
    return cpu_list(_text(shared)) - {core}


def isolated_cores(system: Path = SYSTEM) -> set[int]:
    """Those that the kernel keeps other work from (isolcpus=)."""
    return cpu_list(_text(system / "cpu" / "isolated"))


def online_cores(system: Path = SYSTEM) -> set[int]:
    return cpu_list(_text(system / "cpu" / "online"))


def governor_of_core(core: int, system: Path = SYSTEM) -> str:
    """ "performance"; "" where the kernel doesn't set the clock."""
    return _text(system / "cpu" / f"cpu{core}" / "cpufreq" / "scaling_governor")


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
