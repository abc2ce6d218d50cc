"""What a host has for any configuration: cores, memory, rights, drivers, devices."""

import os
import platform
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.attachment import Attachment
from appliance.doctor.finding import Finding, bad, note, ok
from appliance.host.capabilities import capability_refusals
from appliance.host.hugepages import hugepages_free
from appliance.host.link import link_read
from appliance.host.pci import SHARING_DRIVERS, USER_SPACE_DRIVERS, bound_driver
from appliance.host.pmds import Pmd, dpdk_folder, drives, pci_devices, pmds_in
from appliance.host.processors import core_ranges
from appliance.host.topology import isolated_cores

# Since then a socket of AF_XDP can say that it needs to be woken: XDP_USE_NEED_WAKEUP.
XDP_KERNEL = (5, 4)
NEEDED_DRIVERS = ("net_af_xdp", "net_af_packet")


def host_findings() -> Iterator[Finding]:
    folder = dpdk_folder()
    drivers = pmds_in(folder) if folder else None
    yield _kernel()
    yield _cores()
    yield _hugepages()
    yield from _rights()
    yield from _pmds(drivers)
    yield from _devices(drivers)
    yield _interfaces()


def _kernel() -> Finding:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2])
    if numbers < XDP_KERNEL:
        return note("kernel", release, "use AF_PACKET, or Linux 5.4 or newer for AF_XDP")
    return ok("kernel", release)


def _cores() -> Finding:
    usable = sorted(os.sched_getaffinity(0))
    found = f"{core_ranges(usable)} may be used"
    if len(usable) < 2:
        return bad("cores", found, "give it two: one polls the ports, one does all else")
    isolated = isolated_cores()
    if not isolated:
        return note(
            "cores", f"{found}, none is isolated",
            "for steady latency keep other work off the workers' cores: isolcpus=, or a cpuset")
    return ok("cores", f"{found}, {core_ranges(sorted(isolated))} isolated")


def _hugepages() -> Finding:
    free_mib, sizes_mib = hugepages_free()
    if not sizes_mib:
        return note("huge pages", "the kernel has none", "set memory.hugepages to false")
    found = f"{free_mib} MiB free, of {', '.join(map(str, sizes_mib))} MiB a page"
    if free_mib == 0:
        return note(
            "huge pages", found,
            "reserve some (sysctl vm.nr_hugepages=512), or set memory.hugepages to false")
    return ok("huge pages", found)


def _rights() -> Iterator[Finding]:
    for driver in NEEDED_DRIVERS:
        subject = f"rights for {driver}"
        refusals = list(capability_refusals([Attachment("", driver, interface="a port")]))
        if not refusals:
            yield ok(subject, "all there")
        for refusal in refusals:
            found, _, advice = str(refusal).partition("; ")
            yield note(subject, found.removeprefix("a port: "), advice)


def _pmds(drivers: Sequence[Pmd] | None) -> Iterator[Finding]:
    if drivers is None:
        yield bad("drivers", "DPDK has no folder of them", "install DPDK's drivers (librte-net-*)")
        return
    names = {pmd.name for pmd in drivers}
    missing = [name for name in NEEDED_DRIVERS if name not in names]
    if missing:
        yield note("drivers", f"{' and '.join(missing)} missing",
                   "install them (librte-net-*) to use interfaces of the kernel's")
    else:
        yield ok("drivers", f"{len(names)} found; `synproxy pmd list` shows them")


def _devices(drivers: Sequence[Pmd] | None) -> Iterator[Finding]:
    for address, device in pci_devices():
        bound = bound_driver(Path("/sys/bus/pci/devices") / address)
        taking = [pmd.name for pmd in drivers or () if drives(pmd, device)]
        found = f"{device} is bound to {bound or 'no driver'}"
        if bound in USER_SPACE_DRIVERS + SHARING_DRIVERS and taking:
            yield ok(address, f"{found}, for {taking[0]}")
        elif taking:
            yield note(
                address, f"{found}; {taking[0]} could drive it",
                f"for DPDK's own driver, and if nobody needs it otherwise:"
                f" `dpdk-devbind.py --bind=vfio-pci {address}`")
        else:
            yield ok(address, f"{found}; name its interface with AF_XDP or AF_PACKET")


def _interfaces() -> Finding:
    names = [name for _, name in socket.if_nameindex()]
    usable = [name for name in names if (link := link_read(name)) and link.ethernet]
    if len(usable) < 2:
        return note("interfaces", ", ".join(usable) or "none is Ethernet",
                    "the proxy stands between two of them, in this network namespace")
    return ok("interfaces", ", ".join(usable))


