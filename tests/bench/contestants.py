"""Who takes part: ours and testpmd, each a process of its own on the same frames.

Both read net_pcap's frames from memory, without end, in bursts of 64 on one worker, and send
into nothing.  A rate is frames a second of the worker thread's CPU time: so a machine that
others use as well tells the same ratio, if more noise.
"""

import multiprocessing
import os
import re
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from syn_pcap import PORT, SERVER

MAIN_LCORE, WORKER_LCORE = 0, 1
MEMORY_MIB = 256
SERVICE_KIB, KIB_PER_MIB = 1, 1024      # of a worker's memory: limits.services
WARM_UP_S = 0.5
BURST = 64
MBUFS = 16383


@dataclass(frozen=True)
class Run:
    frames: int
    cpu_s: float

    @property
    def mpps(self) -> float:
        return self.frames / self.cpu_s / 1e6


def client_device(pcap: Path) -> str:
    return f"net_pcap0,rx_pcap={pcap},infinite_rx=1"


def thread_times(pid: int) -> dict[str, int]:
    """Nanoseconds on a CPU of each thread: Documentation/scheduler/sched-stats, schedstat."""
    return {
        task.name: int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def busiest_s(before: dict[str, int], after: dict[str, int]) -> float:
    """A worker polls without rest, so the busiest thread is it."""
    return max(after[name] - before.get(name, 0) for name in after) / 1e9


def synproxy_run(pcap: Path, seconds: float, servers: Sequence[str] = (SERVER,)) -> Run:
    """Each server is a service.  EAL starts once in a process, so each run has a new one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_synproxy, (pcap, seconds, servers))


def _synproxy(pcap: Path, seconds: float, servers: Sequence[str]) -> Run:
    from cython_core.dataplane import Dataplane, PortSpec, ServiceSpec, Settings

    dataplane = Dataplane(Settings(
        client_port=PortSpec(client_device(pcap)), server_port=PortSpec("net_ring0"),
        main_lcore=MAIN_LCORE, worker_lcores=(WORKER_LCORE,), hugepages=False,
        memory_mib=MEMORY_MIB + len(servers) * SERVICE_KIB // KIB_PER_MIB,
        connections=1 << 16, half_open=1 << 12, mbufs=MBUFS, services=len(servers),
        file_prefix=f"bench-{os.getpid()}",
    ))
    try:
        dataplane.publish([ServiceSpec(slot, f"web-{slot}", [f"{server}/32"], [(PORT, PORT)])
                           for slot, server in enumerate(servers)])
        dataplane.start()
        time.sleep(WARM_UP_S)
        before, times = _answered(dataplane), thread_times(os.getpid())
        time.sleep(seconds)
        after = _answered(dataplane)
        return Run(after - before, busiest_s(times, thread_times(os.getpid())))
    finally:
        dataplane.close()


def _answered(dataplane) -> int:
    """SYN-ACKs so far; every frame received must be one."""
    counters = dataplane.worker_stats()[0].counters
    assert counters["tx_full"] == 0
    return counters["synack_sent"]


def testpmd_run(pcap: Path, seconds: float) -> Run:
    process = subprocess.Popen(
        # Line by line, since a pipe would be read only at its end.
        ["stdbuf", "-oL", "dpdk-testpmd", "-l", f"{MAIN_LCORE},{WORKER_LCORE}",
         "--main-lcore", str(MAIN_LCORE), "--no-huge", "-m", str(MEMORY_MIB), "--no-pci",
         "--no-shconf", "--no-telemetry", "--vdev", client_device(pcap), "--",
         "-i", "--port-topology=loop", "--forward-mode=macswap", f"--burst={BURST}",
         f"--total-num-mbufs={MBUFS}"],
        # EAL's own folder for the run; testpmd doesn't remove it.
        env={**os.environ, "RUNTIME_DIRECTORY": str(pcap.parent)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        bufsize=1)
    with process:
        try:
            _say(process, "start")
            time.sleep(WARM_UP_S)
            before, times = _swapped(process), thread_times(process.pid)
            time.sleep(seconds)
            after = _swapped(process)
            return Run(after - before, busiest_s(times, thread_times(process.pid)))
        finally:
            process.stdin.write("quit\n")
            process.communicate(timeout=10)


def _say(process: subprocess.Popen, command: str) -> None:
    process.stdin.write(command + "\n")


def _swapped(process: subprocess.Popen) -> int:
    """Frames sent so far."""
    _say(process, "show port stats 0")
    for line in process.stdout:
        if found := re.search(r"TX-packets:\s*(\d+)", line):
            return int(found[1])
    raise RuntimeError("testpmd ended early")
