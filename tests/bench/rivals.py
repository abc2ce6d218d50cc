"""Who answers SYNs on the same veth, and how each is given one core for it.

The generator has core 0, the proxy core 1.  A veth would do the receiver's work in a softirq of the
sender, so each contestant's is moved to core 1, the way that is its own:

    kernel      NAPI of the interface in a thread (`threaded`), pinned to core 1; XDP runs in it
    AF_XDP      its worker, pinned to core 1, polls the interface's NAPI itself (busy polling)
    AF_PACKET   receive packet steering (RPS) to core 1, beside its worker

What a contestant sends is received by the client, counted and dropped within the call that sends
it, so on core 1, too: alike for all.  (What XDP sends, by the softirq of the client's NAPI, on the
core that has scheduled it: the same.)

Reading list: the kernel's Documentation/networking/napi.rst, scaling.rst (RPS).
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import xdp_synproxy
from answers import PORT, nft_packets
from between import READY_S, testpmd

from appliance.lab.compare.contestants import (
    SERVICES,
    IptablesSynproxy,
    KernelSynproxy,
    NftSynproxy,
)
from appliance.lab.proxy import DEFAULTS, PortSettings, Proxy
from appliance.lab.topology import (
    FLOOD_IPV4,
    FLOOD_MAC,
    PROXY_CLIENT_MAC,
    SERVER_IPV4,
    SERVER_MAC,
    WORKER_LCORE,
    Lab,
)
from appliance.lab.waiting import until

GATEWAY = "10.71.0.254"
NAPI_S = 5
DEFERRED_POLLS, DEFERRED_NS = 2, 200_000     # as DPDK's guide of net_af_xdp has them
DROP_RULES = f"""
table inet dropping {{
    counter syns {{ }}
    chain raw {{
        type filter hook prerouting priority raw
        tcp dport {PORT} counter name syns drop
    }}
}}
"""


@dataclass(frozen=True)
class Rival:
    """`standing` puts it in the middle, where SYNs go to `mac`; `counted` are in place of answers
    where it has none."""

    name: str
    standing: Callable[[Lab], AbstractContextManager[object]]
    mac: str = PROXY_CLIENT_MAC
    counted: Callable[[Lab], int] | None = None


def sysfs(lab: Lab, interface: str, name: str, value: int) -> None:
    lab.proxy.run(["sh", "-ec", f"echo {value} >/sys/class/net/{interface}/{name}"])


def napi_threads() -> set[int]:
    """Those of interfaces named as the proxy's toward its client; of any namespace."""
    return {int(path.parent.name) for path in Path("/proc").glob("[0-9]*/comm")
            if path.read_text().startswith("napi/client-")}


def thread(lab: Lab) -> None:
    """A veth has NAPI where GRO is on, or XDP."""
    before = napi_threads()
    lab.proxy.run(["ethtool", "-K", "client", "gro", "on"])
    sysfs(lab, "client", "threaded", 1)
    until(lambda: napi_threads() - before, seconds=NAPI_S, what="the interface's NAPI thread")
    for pid in napi_threads() - before:
        os.sched_setaffinity(pid, {WORKER_LCORE})
        os.setpriority(os.PRIO_PROCESS, pid, os.getpriority(os.PRIO_PROCESS, 0))


def steer(lab: Lab) -> None:
    sysfs(lab, "client", "queues/rx-0/rps_cpus", 1 << WORKER_LCORE)


@contextmanager
def dropping(lab: Lab) -> Iterator[None]:
    lab.proxy.run(["nft", "-f", "-"], input=DROP_RULES)
    thread(lab)
    yield


def kernel(contestant: KernelSynproxy) -> Callable[[Lab], AbstractContextManager[None]]:
    @contextmanager
    def standing(lab: Lab) -> Iterator[None]:
        with contestant.wire(lab), contestant.proxying(lab):
            # The way back to the spoofed sources.
            lab.proxy.ip([
                f"neighbour add {GATEWAY} lladdr {FLOOD_MAC} dev client nud permanent",
                f"route add {FLOOD_IPV4} via {GATEWAY} dev client onlink"])
            thread(lab)
            yield

    return standing


@contextmanager
def xdp_in_front(lab: Lab) -> Iterator[None]:
    with kernel(NftSynproxy())(lab), xdp_synproxy.answering(lab, PORT):
        yield


def defer(lab: Lab) -> None:
    """A NAPI that is polled by who wants its frames is left to it: in the kernel's words, up to so
    many polls find nothing before the softirq has it again, and so long after the last (ns)."""
    for interface in ("client", "server"):
        sysfs(lab, interface, "napi_defer_hard_irqs", DEFERRED_POLLS)
        sysfs(lab, interface, "gro_flush_timeout", DEFERRED_NS)


def give_core(lab: Lab, driver: str, *, deferred: bool = True) -> None:
    """All that the kernel does for our worker, to the worker's core."""
    if driver == "AF_PACKET":
        steer(lab)
    elif deferred:
        defer(lab)


def ours(driver: str, settings: PortSettings = DEFAULTS, *,
         deferred: bool = True) -> Callable[[Lab], AbstractContextManager[object]]:
    @contextmanager
    def standing(lab: Lab) -> Iterator[None]:
        give_core(lab, driver, deferred=deferred)
        with Proxy(lab, driver, services=SERVICES, settings=settings):
            yield

    return standing


@contextmanager
def swapping(lab: Lab) -> Iterator[None]:
    """testpmd, which sends each frame back with its MACs swapped: as the driver has it, no more."""
    defer(lab)
    before = received(lab)

    def is_at_work() -> bool:
        lab.client.run(["ping", "-c", "1", "-W", "1", SERVER_IPV4], check=False)
        return received(lab) > before

    with testpmd(lab, ("client",), "macswap", "--port-topology=loop"):
        until(is_at_work, seconds=READY_S, what="testpmd to send an ARP request back")
        yield


def received(lab: Lab) -> int:
    """Frames, by the client's interface."""
    shown = lab.client.run(["ip", "-stats", "-json", "link", "show", "dev", "eth0"]).stdout
    return int(json.loads(shown)[0]["stats64"]["rx"]["packets"])


AF_XDP = "synproxyd, AF_XDP"
DROP = Rival("kernel, drop", dropping,
             counted=lambda lab: nft_packets(lab.proxy, "inet dropping", "syns"))
NFT = Rival("kernel SYNPROXY, nft", kernel(NftSynproxy()))
IPTABLES = Rival("kernel SYNPROXY, iptables", kernel(IptablesSynproxy()))
XDP = Rival("XDP in front of nft's", xdp_in_front)
RIVALS = [
    DROP, NFT, IPTABLES, XDP,
    Rival("synproxyd, AF_PACKET", ours("AF_PACKET"), SERVER_MAC),
    Rival(AF_XDP, ours("AF_XDP"), SERVER_MAC),
    Rival("testpmd macswap, AF_XDP", swapping, SERVER_MAC,
          counted=lambda lab: nft_packets(lab.client, "netdev answers", "returned")),
]
# One thing at a time.  There is no zero copy to try: a veth has none, and Debian's driver refuses
# `shared_umem`.
SETTINGS = [
    Rival(name, ours("AF_XDP", settings, deferred=deferred), SERVER_MAC)
    for name, settings, deferred in (
        ("busy polling off", PortSettings("busy_budget=0"), False),
        ("budget 64, not deferred", PortSettings("busy_budget=64"), False),
        ("budget 64", PortSettings("busy_budget=64"), True),
        ("budget 16", PortSettings("busy_budget=16"), True),
        ("budget 256", PortSettings("busy_budget=256"), True),
        ("budget 256, rings of 512", PortSettings("busy_budget=256", descriptors=512), True),
        ("budget 256, rings of 4096", PortSettings("busy_budget=256", descriptors=4096,
                                                   buffers=32767), True),
    )
]
