"""What a container is told by those who start it: its CPUs, its huge pages, its devices.

The cpuset is a part of what sched_getaffinity(2) tells.  Devices are those of Kubernetes' SR-IOV
network device plugin: the variable PCIDEVICE_<RESOURCE> is a list of PCI addresses, of which
PCIDEVICE_<RESOURCE>_INFO says more in JSON.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from appliance.config.formats import is_pci_variable
from appliance.host.cgroup import cpu_quota, cpuset_given, groups_of
from appliance.host.hugepages import POOLS, hugepages_limited
from appliance.host.topology import SYSTEM, online_cores

MOUNT_NAMESPACE = Path("/proc/self/ns/mnt")


@dataclass(frozen=True)
class Surroundings:
    name: str                                   # of the container; no other of its host has it
    cores: Sequence[int]                        # that it may use, in order
    confined: bool = False                      # to these: the host has more, or they were given
    cpu_quota: float | None = None              # the CPU time that it may take, in CPUs; None: all
    hugepages_mib: int | None = None            # that it may take; None: all there are
    devices: Mapping[str, Sequence[str]] = field(default_factory=dict)      # by variable


def surroundings_read(
    environment: Mapping[str, str] = os.environ, groups: Sequence[Path] | None = None,
    pools: Path = POOLS, system: Path = SYSTEM,
) -> Surroundings:
    groups = groups_of() if groups is None else groups
    cores = sorted(os.sched_getaffinity(0))
    return Surroundings(
        # The host's name is a container's, too, where they share the network.
        name=f"synproxy-{MOUNT_NAMESPACE.stat().st_ino}",
        cores=cores,
        confined=cpuset_given(groups) or len(cores) < len(online_cores(system)),
        cpu_quota=cpu_quota(groups),
        hugepages_mib=hugepages_limited(pools, groups),
        devices={
            name: [address.strip() for address in value.split(",") if address.strip()]
            for name, value in environment.items() if is_pci_variable(name)
        },
    )
