"""What is chosen where the configuration leaves it out, each with where it comes from.

Pure: a configuration and its surroundings in, a fuller configuration out.
"""

import math
from collections.abc import Iterator

from synproxy.v1.config_pb2 import Config, Ports, Workers

from appliance.config.formats import is_pci_variable
from appliance.config.live import restart_own, restart_part
from appliance.config.rules import buffers_least, memory_least_mib
from appliance.config.schema import rule_of
from appliance.container.surroundings import Surroundings
from appliance.host.processors import core_ranges
from appliance.refusal import Refusal

# As far as EAL counts in Debian's build (RTE_MAX_LCORE).
LCORE_MAX = rule_of(Workers.DESCRIPTOR.fields_by_name["control_lcore"]).max


def config_surrounded(config: Config, around: Surroundings) -> tuple[Config, list[str]]:
    """What takes a restart, with what the surroundings say of it, and a line for each choice.
    Raises Refusal."""
    chosen = restart_own(config)
    lines = [
        *_devices(chosen.ports, around), *_lcores(chosen.workers, around),
        *_buffers(chosen), *_memory(chosen, around),
    ]
    if not chosen.eal.HasField("file_prefix"):
        chosen.eal.file_prefix = around.name
        lines.append(f"eal.file_prefix {around.name}: the container's mount namespace")
    return chosen, lines


def _devices(ports: Ports, around: Surroundings) -> Iterator[str]:
    left = {name: list(addresses) for name, addresses in around.devices.items()}
    for role, port in (("client", ports.client), ("server", ports.server)):
        name = port.pci
        if not is_pci_variable(name):
            continue
        if not left.get(name):
            known = ", ".join(f"{one}={','.join(around.devices[one])}" for one in around.devices)
            raise Refusal(
                f"ports.{role}.pci: {name} has no device for it; ask for one in the container's"
                f" resources, or name another variable; there is {known or 'none'}")
        port.pci = left[name].pop(0)
        yield f"ports.{role}.pci {port.pci}: {name}"


def _lcores(workers: Workers, around: Surroundings) -> Iterator[str]:
    """All that the container was given; where it was given none of its own, the defaults stay."""
    if workers.lcores or workers.HasField("control_lcore"):
        return
    quota, cpuset = around.cpu_quota, core_ranges(list(around.cores))
    enough = len(around.cores) if quota is None else min(len(around.cores), math.ceil(quota))
    if enough < 2 or (quota is None and not around.confined):
        return      # with fewer than two the daemon refuses to start
    cores = [core for core in around.cores if core <= LCORE_MAX][:enough]
    if len(cores) < 2:
        raise Refusal(
            f"workers: an lcore is one of the cores 0-{LCORE_MAX}, and of the cpuset {cpuset} that"
            f" is {core_ranges(cores) or 'none'}; give the container a cpuset with two of them")
    origin = f"the cpuset {cpuset}"
    if around.cores[-1] > LCORE_MAX:
        origin += f" up to {LCORE_MAX}"
    if quota is not None:
        origin += f" and {quota:g} of CPU time (cpu.max)"
    workers.control_lcore, *lcores = cores
    workers.lcores.extend(lcores)
    yield f"workers.control_lcore {workers.control_lcore}: the first of {origin}"
    yield f"workers.lcores {', '.join(map(str, lcores))}: the others of it"


def _buffers(chosen: Config) -> Iterator[str]:
    """As many as the workers' queues can hold, where the default is fewer."""
    whole = restart_part(chosen)
    need = buffers_least(whole)
    if chosen.memory.HasField("buffers") or whole.memory.buffers >= need:
        return
    chosen.memory.buffers = (1 << need.bit_length()) - 1    # which uses memory best
    yield (f"memory.buffers {chosen.memory.buffers}: the queues of"
           f" {len(whole.workers.lcores)} workers can hold {need}")


def _memory(chosen: Config, around: Surroundings) -> Iterator[str]:
    """What the container may take; where nothing limits that, enough for tables and buffers."""
    memory = chosen.memory
    if memory.HasField("size_mib"):
        return
    whole = restart_part(chosen)
    if whole.memory.hugepages and around.hugepages_mib is not None:
        if around.hugepages_mib:
            memory.size_mib = around.hugepages_mib
            yield f"memory.size_mib {memory.size_mib}: the container's huge pages (hugetlb.*.max)"
    elif whole.memory.size_mib < (least_mib := memory_least_mib(whole)):
        # Each NUMA node that a worker is of has buffers of its own, and all have headers.
        memory.size_mib = 2 * least_mib
        yield (f"memory.size_mib {memory.size_mib}: twice what tables and buffers take at the least"
               f" ({least_mib} MiB)")
