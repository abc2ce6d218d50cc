"""What stands between client and server, in the same place in turn.

    bridge              the kernel's, where it forwards by itself: in the sender's system call, on
                        the hosts' cores
    bridge, own core    the same, each frame handed to the proxy's core first (RPS), so that hosts
                        and forwarding share no core, as with the proxy
    testpmd             DPDK's, which forwards between two AF_XDP ports and looks at nothing
    AF_XDP, AF_PACKET   synproxyd on ports of either kind

RPS: Documentation/networking/scaling.rst.
"""

import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from appliance.lab.bridge import bridged
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, WORKER_LCORE, Lab, stop
from appliance.lab.waiting import until
from appliance.lab.worker_threads import worker_threads

READY_S = 20                # as the proxy


@contextmanager
def bridged_on_own_core(lab: Lab) -> Iterator[None]:
    with bridged(lab):
        _hand_to(lab, 1 << WORKER_LCORE)
        try:
            yield
        finally:
            _hand_to(lab, 0)


def _hand_to(lab: Lab, cores: int) -> None:
    lab.proxy.run(["sh", "-e"], input="".join(
        f"echo {cores:x} >/sys/class/net/{interface}/queues/rx-0/rps_cpus\n"
        for interface in ("client", "server")))


@contextmanager
def testpmd(lab: Lab, interfaces: Sequence[str], mode: str, *words: str) -> Iterator[None]:
    """On AF_XDP ports, and the proxy's cores."""
    vdevs = [f"--vdev=net_af_xdp{at},iface={name}" for at, name in enumerate(interfaces)]
    process = lab.start(lab.proxy, [
        "dpdk-testpmd", "-l", f"0,{WORKER_LCORE}", "--main-lcore", "0", "--no-huge", "-m", "256",
        "--no-pci", "--no-shconf", "--no-telemetry", "--file-prefix", f"testpmd-{lab.id}", *vdevs,
        "--", f"--forward-mode={mode}", "--auto-start", "--total-num-mbufs=32767", *words],
        env={"PATH": "/usr/bin:/usr/sbin", "RUNTIME_DIRECTORY": str(lab.directory)},
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        stop(process)


@contextmanager
def forwarded(lab: Lab) -> Iterator[None]:
    """testpmd on the proxy's ports and cores."""
    with testpmd(lab, ("client", "server"), "io"):
        until(lambda: not lab.client.run(["ping", "-c", "1", "-W", "1", SERVER_IPV4],
                                         check=False).returncode,
              seconds=READY_S, what="testpmd to forward")
        yield


BETWEEN: dict[str, Callable[[Lab], AbstractContextManager[object]]] = {
    "bridge": bridged,
    "bridge, own core": bridged_on_own_core,
    "testpmd": forwarded,
    "AF_XDP": partial(Proxy, driver="AF_XDP"),
    "AF_PACKET": partial(Proxy, driver="AF_PACKET"),
}


def waited_s(between: object) -> float:
    """How long a proxy's workers were ready and had no core so far: others' work on it, which no
    figure of the proxy's own is to be blamed for (sched-stats, schedstat).  The kernel has none."""
    if not isinstance(between, Proxy):
        return 0.0
    pid = between.process.pid
    return sum(int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[1])
               for thread in worker_threads(pid)) / 1e9
