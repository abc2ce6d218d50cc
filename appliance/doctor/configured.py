"""What a configuration needs of the host, and what keeps it from doing its best there."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from appliance.config.attachment import Attachment
from appliance.config.listening import Listening
from appliance.doctor.finding import Finding, State, note, ok
from appliance.host.offloads import offloads_read
from appliance.host.topology import (
    governor_of_core,
    node_of_core,
    node_of_device,
    siblings_of_core,
)
from appliance.preflight import attachments_of, preflight_notices, preflight_refusals
from cython_core.dataplane import Settings

NETWORK = Path("/sys/class/net")
DEVICES = Path("/sys/bus/pci/devices")


def configured_findings(settings: Settings, listening: Sequence[Listening]) -> Iterator[Finding]:
    """What the daemon would refuse at its start, then the rest."""
    refused = False
    for refusal in preflight_refusals(settings, listening):
        refused = True
        found, _, advice = str(refusal).partition("; ")
        yield Finding(State.BAD, "start", found, advice, refusal.code)
    if not refused:
        yield ok("start", "nothing stands in its way")
    for line in preflight_notices(settings, listening):
        yield note("start", line, "")
    for one in attachments_of(settings):
        yield from _offloads(one)
        yield from _nodes(one, settings)
    yield from _clocks(settings)
    yield from _siblings(settings)


def _offloads(one: Attachment) -> Iterator[Finding]:
    if not one.interface:
        return
    # Frames that the kernel has merged are longer than a buffer; a tag that the card has taken out
    # is lost to an XDP program.
    unwanted = {"gro", "lro"} | ({"rxvlan"} if one.driver == "net_af_xdp" else set())
    harmful = sorted(unwanted & offloads_read(one.interface))
    if harmful:
        yield note(
            one.interface, f"{' and '.join(harmful)} change frames before they come to DPDK",
            f"`ethtool -K {one.interface} {' '.join(f'{name} off' for name in harmful)}`")
    else:
        yield ok(one.interface, "no offload changes frames")


def _nodes(one: Attachment, settings: Settings) -> Iterator[Finding]:
    folder = DEVICES / one.pci if one.pci else NETWORK / one.interface / "device"
    node = node_of_device(folder) if one.pci or one.interface else None
    far = [core for core in settings.worker_lcores
           if node is not None and node_of_core(core) not in (None, node)]
    if far:
        yield note(
            one.pci or one.interface,
            f"lies at NUMA node {node}, lcore {', '.join(map(str, far))} doesn't",
            f"name cores of node {node} in workers.lcores")


def _clocks(settings: Settings) -> Iterator[Finding]:
    slow = [core for core in settings.worker_lcores
            if governor_of_core(core) not in ("", "performance")]
    if slow:
        yield note(
            "clock", f"the kernel may slow down lcore {', '.join(map(str, slow))}",
            "`cpupower frequency-set --governor performance`")


def _siblings(settings: Settings) -> Iterator[Finding]:
    ours = {settings.main_lcore, *settings.worker_lcores}
    for core in settings.worker_lcores:
        shared = siblings_of_core(core) & ours
        if shared:
            yield note(
                "cores", f"lcore {core} is the same core as {', '.join(map(str, sorted(shared)))}",
                "give each worker a core of its own")
