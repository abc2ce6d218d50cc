"""Whether the workers' rate moves when the management side is ill-treated.

    python tests/bench/disturbance.py [--rounds 12] [--seconds 2] [--way WAY ...] [--json FILE]

Two synproxyd of one configuration take a mixed attack out of memory, as fast as their workers can,
and these take turns on one core.  So whatever else the machine does, and whoever else uses it, both
meet it: only what is done to one of them makes their rates differ.  One has, in turn,

    quiet           nobody calls it
    ill-treatment   watchers that stop reading fill every stream while services change, watching
                    clients are killed in mid-stream, every method gets bytes that are no message,
                    requests beyond the bound, and connections that speak no gRPC, and events and
                    captures are of all that the attack has dropped

and its twin is left alone.  The figure is the median, over all rounds, of how much of the twin's
rate it has while ill-treated to how much it has when quiet, in frames a second by the clock; by the
CPU time of the workers stands beside it, and the quartiles tell how sure it is.  It fails where the
figure, or one of the ways to ill-treat, has come to nothing, and names it.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
from contestants import MAIN_LCORE, WORKER_LCORE, device, thread_times
from ill_treatment import SERVICES, WAYS, disturbed, way_add
from report import report_write
from syn_pcap import PORT, SERVER
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub
from synproxy.v1.system_service_pb2 import ListWorkersRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.program import within

GOAL = 0.98
STATES = ("quiet", "ill-treated")
TWINS = ("ours", "twin")
CLOCKS = ("clock", "cpu")
READY_S = 20
STOP_S = 15
RESULTS = Path("bench-results/disturbance.json")
CONFIGURATION = """\
ports:
  client: {{device: "{client}"}}
  server: {{device: net_ring0}}
workers: {{lcores: [{worker}], control_lcore: {control}, on_stall: REPORT}}
memory: {{hugepages: false, size_mib: 256}}
limits: {{connections: 65536, half_open: 4096}}
eal: {{file_prefix: disturbance-{name}-{pid}}}
management: {{address: "unix:{folder}/api.sock"}}
services:
  - {{name: web, prefixes: [{server}], ports: [{port}], options: {{unknown_flow: DROP}}}}
"""
OTHERS = "  - {{name: other-{at}, prefixes: [10.9.{high}.{low}], ports: [443]}}\n"


@dataclass(frozen=True)
class Reading:
    frames: int
    clock_s: float
    cpu_s: float

    def since(self, before: "Reading") -> dict[str, float]:
        """Million frames a second."""
        frames = (self.frames - before.frames) / 1e6
        return {"clock": frames / (self.clock_s - before.clock_s),
                "cpu": frames / (self.cpu_s - before.cpu_s)}


class Daemon(AbstractContextManager["Daemon"]):
    def __init__(self, folder: Path) -> None:
        """In a folder of its own."""
        folder.mkdir()
        config, self._log = folder / "f.yaml", folder / "log"
        # Whoever ill-treats it has no need of what draws plots.
        from rates import courses

        pcap = courses(folder, 4)["mixed attack"].client
        config.write_text(CONFIGURATION.format(
            client=device(0, pcap), worker=WORKER_LCORE, control=MAIN_LCORE, name=folder.name,
            pid=os.getpid(), folder=folder, server=SERVER, port=PORT) + "".join(
                OTHERS.format(at=at, high=at >> 8, low=at & 255) for at in range(SERVICES)))
        self.address = f"unix:{folder}/api.sock"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "appliance.daemon", "run", "--config", str(config)],
                stdout=log, stderr=log)
        deadline = time.monotonic() + READY_S
        while "ready: " not in self._log.read_text():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                raise SystemExit(f"synproxyd doesn't start: {self._log.read_text()}")
            time.sleep(0.05)
        self._channel = grpc.insecure_channel(self.address)
        self._stats = StatsServiceStub(self._channel)
        (worker,) = SystemServiceStub(self._channel).ListWorkers(
            ListWorkersRequest(), timeout=READY_S).workers
        self._worker = str(worker.thread_id)

    @property
    def pid(self) -> int:
        return self._process.pid

    def reading(self) -> Reading:
        """Of its worker."""
        answer = self._stats.GetStats(GetStatsRequest(), timeout=READY_S)
        return Reading(int(answer.workers[0].counters["received"]), time.monotonic(),
                       thread_times(self._process.pid)[self._worker] / 1e9)

    def __exit__(self, *reason: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_S)
        self._process.kill()


def main() -> int:
    arguments = parse()
    total: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as running:
        daemons = {name: running.enter_context(Daemon(Path(folder) / name)) for name in TWINS}
        os.sched_setaffinity(0, {MAIN_LCORE})
        rounds = [measure(daemons, arguments, number, total)
                  for number in range(arguments.rounds)]
    shares = {clock: statistics.quantiles([share_kept(one, clock) for one in rounds], n=4)
              for clock in CLOCKS}
    goals = {f"{GOAL} of the rate when quiet": shares["clock"][1] >= GOAL} | {
        done: total[done] > 0 for way in arguments.way for done in WAYS[way].done}
    show(shares, total, goals)
    report_write(arguments.json, {
        "rounds": rounds, "meanwhile": total, "goals": goals, "share_kept": shares})
    return 0 if all(goals.values()) else 1


# By state, twin and clock: million frames a second.
Round = dict[str, dict[str, dict[str, float]]]


def measure(daemons: dict[str, Daemon], arguments: argparse.Namespace, number: int,
            total: Counter[str]) -> Round:
    """Each state is as often the first."""
    around = {"quiet": nullcontext,
              "ill-treated": lambda: disturbed(daemons["ours"].address, arguments.way, total)}
    rates: Round = {}
    for state in STATES if number % 2 else reversed(STATES):
        with around[state]():
            before = {name: daemon.reading() for name, daemon in daemons.items()}
            time.sleep(arguments.seconds)
            rates[state] = {name: daemon.reading().since(before[name])
                            for name, daemon in daemons.items()}
    print("".join(f"{rates[state][name]['clock']:13.2f}" for state in STATES for name in TWINS)
          + f"{share_kept(rates, 'clock'):13.3f}{share_kept(rates, 'cpu'):13.3f}", flush=True)
    return rates


def share_kept(rates: Round, clock: str) -> float:
    quiet, ill = (rates[state]["ours"][clock] / rates[state]["twin"][clock] for state in STATES)
    return ill / quiet


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=within(2, 100), default=12, help="default %(default)s")
    parser.add_argument("--seconds", type=within(0.5, 60.0), default=2.0,
                        help="of each state; default %(default)s")
    way_add(parser)
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    arguments = parser.parse_args()
    print("million frames a second by the clock" + f"{'share kept':>42}")
    print("".join(f"{name + ', ' + state:>13}" for state in ("quiet", "ill") for name in TWINS)
          + f"{'by the clock':>13}{'by CPU time':>13}")
    return arguments


def show(shares: dict[str, list[float]], total: Counter[str], goals: dict[str, bool]) -> None:
    print("meanwhile: " + ", ".join(f"{what} {count}" for what, count in sorted(total.items())))
    for clock, (low, middle, high) in shares.items():
        print(f"of its rate when quiet it keeps, by {clock}: {middle:.3f}; half of the rounds"
              f" between {low:.3f} and {high:.3f}")
    for goal, reached in goals.items():
        print(f"goal: {goal}: {'reached' if reached else 'missed'}")


if __name__ == "__main__":
    raise SystemExit(main())
