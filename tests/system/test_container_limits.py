"""A container's huge pages are as many as its control group lets it have, by the kernel's own
account (hugetlb, version 2)."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from appliance.host.cgroup import MOUNT
from appliance.lab.huge_pages import reserved

from ..appliance.daemon_process import LCORES, Running

POOL_MIB, LIMIT_MIB = 512, 192
MIB = 1 << 20
CONFIGURATION = f"""\
ports: {{client: {{device: net_ring0}}, server: {{device: net_ring1}}}}
workers: {{lcores: [{LCORES[-1]}], control_lcore: {LCORES[0]}}}
limits: {{connections: 65536, half_open: 4096}}
management: {{address: "unix:%(socket)s"}}
services: [{{name: web, prefixes: [192.0.2.0/24], ports: [80]}}]
"""
# In a mount namespace of its own: version 2 lies where a container has it, whatever the host has.
ENTERED = f"""
mount --bind "$1" {MOUNT}
echo $$ > {MOUNT}/"$2"/cgroup.procs
shift 2
exec "$@"
"""


def unified() -> Path:
    """Where this host has version 2."""
    mounts = (line.split() for line in Path("/proc/mounts").read_text().splitlines())
    return next(Path(place) for _, place, kind, *_ in mounts if kind == "cgroup2")


@pytest.fixture
def pool() -> Iterator[None]:
    with reserved(POOL_MIB):
        yield


@pytest.fixture
def group(pool: None) -> Iterator[Path]:
    """With a limit below what the host has."""
    folder = unified() / f"synlab-{os.getpid()}"
    (folder.parent / "cgroup.subtree_control").write_text("+hugetlb")
    folder.mkdir()
    (folder / "hugetlb.2MB.max").write_text(str(LIMIT_MIB * MIB))
    yield folder
    folder.rmdir()


def test_what_the_limit_leaves_is_taken_and_given_back(
        group: Path, tmp_path: Path, figure: Callable[[str], None]) -> None:
    config = tmp_path / "synproxy.yaml"
    config.write_text(CONFIGURATION % {"socket": tmp_path / "synproxy.sock"})
    daemon = Running(
        config, {"SYNPROXY_CONFIG": str(config), "RUNTIME_DIRECTORY": str(tmp_path)},
        before=["unshare", "--mount", "--propagation", "private", "sh", "-ec", ENTERED, "sh",
                str(group.parent), group.name],
        program=[sys.executable, "-P", "-m", "appliance.container.entrypoint"])
    assert (f"memory.size_mib {LIMIT_MIB}: the container's huge pages (hugetlb.*.max)"
            in daemon.said())
    taken = int((group / "hugetlb.2MB.current").read_text())
    figure(f"{taken / MIB:g} MiB of {LIMIT_MIB}, where the host has {POOL_MIB}")
    assert 0 < taken <= LIMIT_MIB * MIB
    assert daemon.stop(signal.SIGTERM) == 0
    assert int((group / "hugetlb.2MB.current").read_text()) == 0
