"""Whether the workers' rate moves when the management side is ill-treated.

    python tests/bench/disturbance.py [--rounds 12] [--seconds 2] [--way WAY ...] [--json FILE]

One synproxyd takes a mixed attack out of memory, as fast as its worker can.  In turn it has

    a neighbour     a program that has nothing to do with it keeps the control core busy
    ill-treatment   watchers that stop reading fill every stream while services change, watching
                    clients are killed in mid-stream, every method gets bytes that are no message,
                    requests beyond the bound, and connections that speak no gRPC, and events and
                    captures are of all that the attack has dropped

and quiet.  Where two logical cores are threads of one, any work on the control core slows the
worker, whoever does it; so the figure is the ratio of ill-treatment to a neighbour, of frames a
second by the clock, and that to quiet stands beside it.  A machine's rate drifts by more than what
is looked for: a ratio is of two that follow each other, the figure is the median of all rounds, and
their quartiles tell how sure it is.  It fails where that, or one of the ways to ill-treat, has come
to nothing, and names it.
"""

import argparse
import multiprocessing
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import grpc
from contestants import MAIN_LCORE, WORKER_LCORE, device, thread_times
from ill_treatment import SERVICES, WAYS, disturbed
from report import report_write
from syn_pcap import PORT, SERVER
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub
from synproxy.v1.system_service_pb2 import ListWorkersRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.program import within

GOAL = 0.98
STATES = ("quiet", "ill-treated", "neighbour")
CLOCKS = ("clock", "cpu")
READY_S = 20
RESULTS = Path("bench-results/disturbance.json")
CONFIGURATION = """\
ports:
  client: {{device: "{client}"}}
  server: {{device: net_ring0}}
workers: {{lcores: [{worker}], control_lcore: {control}}}
memory: {{hugepages: false, size_mib: 256}}
limits: {{connections: 65536, half_open: 4096}}
eal: {{file_prefix: disturbance-{pid}}}
management: {{address: "unix:{folder}/api.sock"}}
services:
  - {{name: web, prefixes: [{server}], ports: [{port}], options: {{unknown_flow: DROP}}}}
"""
OTHERS = "  - {{name: other-{at}, prefixes: [10.9.{high}.{low}], ports: [443]}}\n"


@dataclass(frozen=True)
class Rate:
    by_clock: float
    by_cpu: float


class Daemon:
    def __init__(self, folder: Path) -> None:
        config, self._log = folder / "f.yaml", folder / "log"
        # Whoever ill-treats it has no need of what draws plots.
        from rates import courses

        pcap = courses(folder, 4)["mixed attack"].client
        config.write_text(CONFIGURATION.format(
            client=device(0, pcap), worker=WORKER_LCORE, control=MAIN_LCORE, pid=os.getpid(),
            folder=folder, server=SERVER, port=PORT) + "".join(
                OTHERS.format(at=at, high=at >> 8, low=at & 255) for at in range(SERVICES)))
        self.address = f"unix:{folder}/api.sock"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance.daemon", "run", "--config", str(config)],
                stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while "ready: " not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise SystemExit(f"synproxyd doesn't start: {self._log.read_text()}")
            time.sleep(0.05)
        self._channel = grpc.insecure_channel(self.address)
        self._stats = StatsServiceStub(self._channel)
        (worker,) = SystemServiceStub(self._channel).ListWorkers(
            ListWorkersRequest(), timeout=READY_S).workers
        self._worker = str(worker.thread_id)

    def rate(self, seconds: float) -> Rate:
        """With its neighbours' work on its core, the worker's thread needn't be the busiest."""
        frames, cpu_ns, clock = self._frames(), self._worker_ns(), time.monotonic()
        time.sleep(seconds)
        frames, clock = self._frames() - frames, time.monotonic() - clock
        return Rate(frames / clock, frames / (self._worker_ns() - cpu_ns) * 1e9)

    def _worker_ns(self) -> int:
        return thread_times(self._process.pid)[self._worker]

    def _frames(self) -> int:
        answer = self._stats.GetStats(GetStatsRequest(), timeout=30)
        return int(answer.workers[0].counters["received"])

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(15)
        self._process.kill()


def spin(end: Event) -> None:
    """What the ill-treated side's programs mostly do: Python, and memory of the cache's size."""
    os.sched_setaffinity(0, {MAIN_LCORE})
    block = bytearray(1 << 20)
    while not end.is_set():
        for at in range(0, len(block), 64):
            block[at] = (block[at] + at) & 255


@contextmanager
def neighboured() -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    end = context.Event()
    process = context.Process(target=spin, args=(end,))
    process.start()
    try:
        time.sleep(1)
        yield
    finally:
        end.set()
        process.join()


def main() -> int:
    arguments = parse()
    rates: dict[str, list[Rate]] = {state: [] for state in STATES}
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        daemon = Daemon(Path(folder))
        os.sched_setaffinity(0, {MAIN_LCORE})
        try:
            daemon.rate(0.5)
            for at in range(arguments.rounds):
                measure(daemon, arguments, at, rates, total)
        finally:
            daemon.stop()
    ratios = {f"ill-treated to {to}, by {clock}": quartiles(rates, to, f"by_{clock}")
              for clock in CLOCKS for to in ("neighbour", "quiet")}
    goals = {f"{GOAL} to a neighbour": ratios["ill-treated to neighbour, by clock"][1] >= GOAL} | {
        done: total[done] > 0 for way in arguments.way for done in WAYS[way].done}
    show(ratios, total, goals)
    report_write(arguments.json, {
        "rates": {state: [vars(rate) for rate in taken] for state, taken in rates.items()},
        "meanwhile": total, "goals": goals, "ratios": ratios})
    return 0 if all(goals.values()) else 1


def measure(daemon: Daemon, arguments: argparse.Namespace, number: int,
            rates: dict[str, list[Rate]], total: Counter[str]) -> None:
    """Each state follows each other one equally often."""
    around = {"quiet": nullcontext, "neighbour": neighboured,
              "ill-treated": lambda: disturbed(daemon.address, arguments.way, total)}
    for state in STATES if number % 2 else reversed(STATES):
        with around[state]():
            rates[state].append(daemon.rate(arguments.seconds))
    print("".join(f"{rates[state][-1].by_clock / 1e6:13.2f}" for state in STATES)
          + "".join(f"{rates[state][-1].by_cpu / 1e6:13.2f}" for state in STATES), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=within(2, 100), default=12, help="default %(default)s")
    parser.add_argument("--seconds", type=within(0.5, 60.0), default=2.0,
                        help="of each; default %(default)s")
    parser.add_argument("--way", choices=list(WAYS), nargs="+", default=list(WAYS),
                        help="to ill-treat it; default all")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    arguments = parser.parse_args()
    print(f"{'million frames a second by the clock':^39}{'by the CPU time of its worker':^39}")
    print("".join(f"{state:>13}" for state in STATES * 2))
    return arguments


def quartiles(rates: dict[str, list[Rate]], to: str, which: str) -> list[float]:
    return statistics.quantiles(
        (getattr(ours, which) / getattr(theirs, which)
         for ours, theirs in zip(rates["ill-treated"], rates[to], strict=True)), n=4)


def show(ratios: dict[str, list[float]], total: Counter[str], goals: dict[str, bool]) -> None:
    print("meanwhile: " + ", ".join(f"{what} {count}" for what, count in sorted(total.items())))
    for what, (low, middle, high) in ratios.items():
        print(f"{what}: {middle:.3f}, half of the rounds between {low:.3f} and {high:.3f}")
    for goal, reached in goals.items():
        print(f"goal: {goal}: {'reached' if reached else 'missed'}")


if __name__ == "__main__":
    raise SystemExit(main())
