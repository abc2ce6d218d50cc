"""Who takes part: ours and testpmd, each a process of its own on the same frames.

Both read net_pcap's frames from memory, without end, on one worker, ours in bursts of 32 and
testpmd in those of 64, and send into nothing.  A rate is frames a second of the worker thread's CPU
time: so a machine that others use as well tells the same ratio, if more noise.
"""

import multiprocessing
import os
import re
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from syn_pcap import PORT, SERVER, SYNS

MAIN_LCORE, WORKER_LCORE = 0, 1
MEMORY_MIB = 256
SERVICE_KIB, KIB_PER_MIB = 1, 1024      # of a worker's memory: limits.services
MBUF_KIB = 4                            # none crosses a page, and these are small ones
CONNECTION_BYTES = 96
HALF_OPEN = 1 << 13
WARM_UP_S = 0.5
BURST = 64
MBUFS = 16383


@dataclass(frozen=True)
class Course:
    """What both run on: the frames of each side's file, again and again, and whom the proxy serves.
    `fate` are the counters of which each frame of ours must meet one.  Of `room` for connections
    `opened` are open when it starts, at `now_ms`: those of cython_core._testing_crowd.  A second
    worker shares its CPU with the main lcore, which sleeps while rates are taken."""

    client: Path
    server: Path | None = None
    frames: int = SYNS                  # in both files: net_pcap keeps them in mbufs
    fate: Sequence[str] = ("synack_sent",)
    servers: Sequence[str] = (SERVER,)
    options: Mapping[str, object] = field(default_factory=dict)
    room: int = 1 << 16
    opened: int = 0
    family: int = 4
    now_ms: int = 0
    workers: int = 1

    @property
    def files(self) -> list[Path]:
        return [self.client] if self.server is None else [self.client, self.server]

    @property
    def devices(self) -> list[str]:
        return [device(number, file) for number, file in enumerate(self.files)]

    @property
    def mbufs(self) -> int:
        return MBUFS + (self.frames if self.frames > SYNS else 0)

    @property
    def frames_mib(self) -> int:
        return MEMORY_MIB + self.mbufs * MBUF_KIB // KIB_PER_MIB


@dataclass(frozen=True)
class Run:
    frames: int
    cpu_s: float

    @property
    def mpps(self) -> float:
        return self.frames / self.cpu_s / 1e6


def device(number: int, pcap: Path) -> str:
    return f"net_pcap{number},rx_pcap={pcap},infinite_rx=1"


def thread_times(pid: int) -> dict[str, int]:
    """Nanoseconds on a CPU of each thread: Documentation/scheduler/sched-stats, schedstat."""
    return {
        task.name: int((task / "schedstat").read_text().split()[0])
        for task in Path(f"/proc/{pid}/task").iterdir()
    }


def busiest_s(before: dict[str, int], after: dict[str, int], workers: int = 1) -> float:
    """The mean of so many: a worker polls without rest, so the busiest threads are they."""
    spent = sorted(after[name] - before.get(name, 0) for name in after)
    return sum(spent[-workers:]) / workers / 1e9


def synproxy_run(course: Course, seconds: float) -> Run:
    """EAL starts once in a process, so each run has a new one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_synproxy, (course, seconds))


def lcores(workers: int) -> str:
    """EAL's words for the main lcore on CPU 0 and a worker on each of CPU 1, 0, 2, 3 ..."""
    cpus = [1, 0, *range(2, workers)][:workers]
    return ",".join([f"{MAIN_LCORE}@0", *(f"{at}@{cpu}" for at, cpu in enumerate(cpus, 1))])


def dataplane_of(course: Course, client: str, server: str, half_open: int = HALF_OPEN):
    """A Dataplane that serves the course, not started yet."""
    from cython_core.dataplane import Dataplane, PortSpec, ServiceOptions, ServiceSpec, Settings

    dataplane = Dataplane(Settings(
        client_port=PortSpec(client), server_port=PortSpec(server),
        main_lcore=MAIN_LCORE, worker_lcores=tuple(range(1, course.workers + 1)), hugepages=False,
        memory_mib=course.frames_mib + len(course.servers) * SERVICE_KIB // KIB_PER_MIB
        + (course.room * CONNECTION_BYTES >> 20),
        connections=course.room, half_open=half_open, mbufs=course.mbufs,
        services=len(course.servers), file_prefix=f"bench-{os.getpid()}",
        extra_eal_args=("--lcores", lcores(course.workers)),
    ))
    dataplane.publish([
        ServiceSpec(slot, f"web-{slot}", [f"{server}/{128 if ':' in server else 32}"],
                    [(PORT, PORT)], ServiceOptions(**course.options))
        for slot, server in enumerate(course.servers)])
    return dataplane


@contextmanager
def crowd_of(course: Course, count: int, half_open: int = HALF_OPEN) -> Iterator:
    """A cython_core._testing_crowd.Crowd of so many around a Dataplane without traffic."""
    from cython_core._testing_crowd import Crowd

    dataplane = dataplane_of(course, "net_ring0", "net_ring1", half_open)
    try:
        yield Crowd(dataplane, count, course.family)
    finally:
        dataplane.close()


@contextmanager
def synproxy_at_work(course: Course) -> Iterator:
    """A Dataplane that has been on the course for a while.  EAL starts once in a process."""
    from cython_core._testing_crowd import Crowd

    dataplane = dataplane_of(course, *[*course.devices, "net_ring0"][:2])
    try:
        if course.opened:
            Crowd(dataplane, course.opened, course.family).open(course.now_ms)
        dataplane.start()
        time.sleep(WARM_UP_S)
        yield dataplane
    finally:
        dataplane.close()


def _synproxy(course: Course, seconds: float) -> Run:
    with synproxy_at_work(course) as dataplane:
        before, times = counters_of(dataplane), thread_times(os.getpid())
        time.sleep(seconds)
        after = counters_of(dataplane)
        cpu_s = busiest_s(times, thread_times(os.getpid()))
        return Run(frames_met(course, before, after), cpu_s)


def counters_of(dataplane) -> dict[str, int]:
    return dataplane.worker_stats()[0].counters


def frames_met(course: Course, before: Mapping[str, int], after: Mapping[str, int]) -> int:
    """Frames that met the course's fate; but for those under way all must have."""
    gained = {name: after[name] - before[name] for name in after}
    met = sum(gained[fate] for fate in course.fate)
    if gained["tx_full"] or abs(met - gained["received"]) > BURST:
        others = {name: value for name, value in gained.items() if value}
        raise RuntimeError(f"not all frames met {' or '.join(course.fate)}: {others}")
    return met


def testpmd_run(course: Course, seconds: float, devices: Sequence[str]) -> Run:
    """On devices that have as many queues as the course has workers."""
    vdevs = [word for one in devices for word in ("--vdev", one)]
    queues = [f"--{what}={course.workers}" for what in ("nb-cores", "rxq", "txq")]
    process = subprocess.Popen(
        # Line by line, since a pipe would be read only at its end.
        ["stdbuf", "-oL", "dpdk-testpmd", "--lcores", lcores(course.workers),
         "--main-lcore", str(MAIN_LCORE), "--no-huge", "-m", str(course.frames_mib), "--no-pci",
         "--no-shconf", "--no-telemetry", *vdevs, "--",
         "-i", "--port-topology=loop", "--forward-mode=macswap", f"--burst={BURST}",
         f"--total-num-mbufs={course.mbufs}", *queues],
        # EAL's own folder for the run; testpmd doesn't remove it.
        env={**os.environ, "RUNTIME_DIRECTORY": str(course.client.parent)},
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        bufsize=1)
    with process:
        try:
            _say(process, "start")
            time.sleep(WARM_UP_S)
            before, times = _swapped(process, devices), thread_times(process.pid)
            time.sleep(seconds)
            after = _swapped(process, devices)
            return Run(after - before,
                       busiest_s(times, thread_times(process.pid), course.workers))
        finally:
            process.stdin.write("quit\n")
            process.communicate(timeout=10)


def _say(process: subprocess.Popen, command: str) -> None:
    process.stdin.write(command + "\n")


def _swapped(process: subprocess.Popen, devices: Sequence[str]) -> int:
    """Frames sent so far, on all ports."""
    _say(process, "show port stats all")
    sent = []
    for line in process.stdout:
        if found := re.search(r"TX-packets:\s*(\d+)", line):
            sent.append(int(found[1]))
            if len(sent) == len(devices):
                return sum(sent)
    raise RuntimeError("testpmd ended early")
