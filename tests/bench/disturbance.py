"""Whether the workers' rate moves when the management side is ill-treated.

    python tests/bench/disturbance.py [--rounds 5] [--seconds 4] [--json FILE]

One synproxyd takes an attack out of memory, as fast as its worker can: SYNs, which it answers, and
forged ACKs, odd flags and wrong checksums, which it drops by name.  In turn it has

    a neighbour     a program that has nothing to do with it keeps the control core busy
    ill-treatment   watchers that stop reading fill every stream while services change, watching
                    clients are killed in mid-stream, and every method gets bytes that are no
                    message, requests beyond the bound, and connections that speak no gRPC;
                    and one reads the events of all drops, and captures them, again and again

and quiet.  Where two logical cores are threads of one, any work on the control core slows the
worker, whoever does it; so the figure is the ratio of ill-treatment to a neighbour, of the medians
of frames a second by the clock, and that to quiet stands beside it.  It fails where the goal is
missed.
"""

import argparse
import json
import multiprocessing
import os
import random
import signal
import socket
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
from typing import Any

import grpc
from contestants import MAIN_LCORE, WORKER_LCORE, busiest_s, device, thread_times
from google.protobuf import descriptor_pool
from syn_pcap import PORT, SERVER
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.capture_service_pb2 import CaptureRequest
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceStub
from synproxy.v1.events_service_pb2 import WatchEventsRequest
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.api import SERVICE_NAMES
from appliance.lab.program import within

GOAL = 0.98
STATES = ("quiet", "neighbour", "ill-treated")
READY_S = 20
CALL_S = 5
BEGIN_S = 60
SERVICES = 500          # so that a stream of them fills what a stopped reader leaves unread
DROPS = ("cookie_invalid", "flags_invalid", "tcp_checksum")
READERS = 48            # stopped ones; a listener takes 128 calls at a time
OVERSIZED_BYTES = 5 << 20
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

    def rate(self, seconds: float) -> Rate:
        frames, cpu, clock = self._frames(), thread_times(self._process.pid), time.monotonic()
        time.sleep(seconds)
        frames, clock = self._frames() - frames, time.monotonic() - clock
        return Rate(frames / clock, frames / busiest_s(cpu, thread_times(self._process.pid)))

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


# Each runs in a process of its own, on the control core, until it is told to stop.

def stopped_readers(address: str, end: Event, done: Any) -> None:
    """Calls of every method that streams, none of whose answers is read."""
    with grpc.insecure_channel(address, [("grpc.http2.lookahead_bytes", 1)]) as channel:
        streams = [path for path, streaming in methods() if streaming]
        calls = [channel.unary_stream(streams[at % len(streams)])(b"") for at in range(READERS)]
        stub = ServicesServiceStub(channel)
        while not end.is_set():
            for at in range(SERVICES):
                request = api.UpdateServiceRequest()
                request.service.name = f"other-{at}"
                request.service.options.mss = random.randrange(536, 1461)
                with suppress(grpc.RpcError):
                    stub.UpdateService(request, timeout=CALL_S)
                    done["updates beside stopped readers"] += 1
                if end.is_set():
                    break
        for call in calls:
            call.cancel()


def watch_forever(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        for _ in ServicesServiceStub(channel).WatchServices(api.WatchServicesRequest()):
            pass


def killed_clients(address: str, end: Event, done: Any) -> None:
    while not end.is_set():
        child = os.fork()
        if child == 0:
            os.execv(sys.executable, [
                sys.executable, "-c", f"import sys; sys.path[0] = {str(Path(__file__).parent)!r}; "
                f"import disturbance; disturbance.watch_forever({address!r})"])
        end.wait(random.uniform(0.3, 1.0))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        done["clients killed"] += 1


def bad_requests(address: str, end: Event, done: Any) -> None:
    """No message, and more than the bound, to each method in turn."""
    with grpc.insecure_channel(address) as channel:
        while not end.is_set():
            for path, streaming in methods():
                for body in (random.randbytes(64), b"\x0a" * 99, bytes(OVERSIZED_BYTES)):
                    call = (channel.unary_stream if streaming else channel.unary_unary)(path)
                    try:
                        answer = call(body, timeout=1)
                        if streaming:
                            next(answer)
                            answer.cancel()
                        done["bad requests: OK"] += 1
                    except (grpc.RpcError, StopIteration) as error:
                        code = error.code().name if isinstance(error, grpc.RpcError) else "OK"
                        done[f"bad requests: {code}"] += 1
                if end.is_set():
                    return


def strangers(address: str, end: Event, done: Any) -> None:
    """Connections that speak no gRPC, or break off in the middle of it."""
    openings = (
        b"", b"GET / HTTP/1.1\r\n\r\n", random.randbytes(4096), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff\xff\xff\x00" + random.randbytes(4096))
    while not end.is_set():
        with socket.socket(socket.AF_UNIX) as stranger, suppress(OSError):
            stranger.connect(address.removeprefix("unix:"))
            stranger.sendall(random.choice(openings))
            done["strangers"] += 1
        end.wait(0.005)


def listener(address: str, end: Event, done: Any) -> None:
    """Of what is dropped; a stopped reader may have the one place to capture for a while."""
    with grpc.insecure_channel(address) as channel:
        events = EventsServiceStub(channel).WatchEvents(WatchEventsRequest(reasons=DROPS))
        while not end.is_set():
            done["events"] += len(next(events).events)
            with suppress(grpc.RpcError):
                for _ in CaptureServiceStub(channel).Capture(
                        CaptureRequest(reasons=DROPS, packets=1000), timeout=CALL_S):
                    done["pieces of captures"] += 1
        events.cancel()


DISTURBERS = (listener, stopped_readers, killed_clients, bad_requests, strangers)


def methods() -> list[tuple[str, bool]]:
    """Of ours: path, and whether it streams."""
    pool: Any = descriptor_pool.Default()
    return [(f"/{name}/{method.name}", method.server_streaming)
            for name in SERVICE_NAMES for method in pool.FindServiceByName(name).methods]


def disturb(at: int, address: str, begun: Any, end: Event, sums: Any) -> None:
    os.sched_setaffinity(0, {MAIN_LCORE})
    done: Counter[str] = Counter()
    begun.release()
    try:
        DISTURBERS[at](address, end, done)
    finally:
        sums.put(done)


@contextmanager
def disturbed(address: str, total: Counter[str]) -> Iterator[None]:
    context = multiprocessing.get_context("spawn")
    begun, end, sums = context.Semaphore(0), context.Event(), context.Queue()
    processes = [context.Process(target=disturb, args=(at, address, begun, end, sums))
                 for at in range(len(DISTURBERS))]
    for process in processes:
        process.start()
    try:
        for _ in processes:
            begun.acquire(timeout=BEGIN_S)
        time.sleep(1)       # and their streams fill
        yield
    finally:
        end.set()
        for _ in processes:
            total.update(sums.get(timeout=60))
        for process in processes:
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
            for _ in range(arguments.rounds):
                measure(daemon, arguments.seconds, rates, total)
        finally:
            daemon.stop()
    show(rates, total)
    write(arguments.json, rates, total)
    return 0 if figure_of(rates) >= GOAL else 1


def measure(daemon: Daemon, seconds: float, rates: dict[str, list[Rate]],
            total: Counter[str]) -> None:
    for state, around in (
        ("quiet", nullcontext()), ("neighbour", neighboured()),
        ("ill-treated", disturbed(daemon.address, total)),
    ):
        with around:
            rates[state].append(daemon.rate(seconds))
    print("".join(f"{rates[state][-1].by_clock / 1e6:13.2f}" for state in STATES)
          + "".join(f"{rates[state][-1].by_cpu / 1e6:13.2f}" for state in STATES), flush=True)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=within(1, 100), default=5, help="default %(default)s")
    parser.add_argument("--seconds", type=within(0.5, 60.0), default=4.0,
                        help="of each; default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    arguments = parser.parse_args()
    print(f"{'million frames a second by the clock':^39}{'by the CPU time of its worker':^39}")
    print("".join(f"{state:>13}" for state in STATES * 2))
    return arguments


def ratio(rates: dict[str, list[Rate]], state: str, to: str, which: str = "by_clock") -> float:
    ours, theirs = (statistics.median(getattr(rate, which) for rate in rates[one])
                    for one in (state, to))
    return ours / theirs


def figure_of(rates: dict[str, list[Rate]]) -> float:
    return ratio(rates, "ill-treated", "neighbour")


def show(rates: dict[str, list[Rate]], total: Counter[str]) -> None:
    print("meanwhile: " + ", ".join(f"{what} {count}" for what, count in sorted(total.items())))
    figure = figure_of(rates)
    print(f"ill-treated to a neighbour {figure:.3f}, to quiet"
          f" {ratio(rates, 'ill-treated', 'quiet'):.3f}; by CPU time"
          f" {ratio(rates, 'ill-treated', 'neighbour', 'by_cpu'):.3f} and"
          f" {ratio(rates, 'ill-treated', 'quiet', 'by_cpu'):.3f}")
    print(f"goal: {GOAL} to a neighbour: {'reached' if figure >= GOAL else 'missed'}")


def write(path: Path, rates: dict[str, list[Rate]], total: Counter[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({
        "rates": {state: [vars(rate) for rate in taken] for state, taken in rates.items()},
        "meanwhile": total, "goal": GOAL,
        "ill_treated_to_neighbour": figure_of(rates),
        "ill_treated_to_quiet": ratio(rates, "ill-treated", "quiet")}, indent=1) + "\n")


if __name__ == "__main__":
    raise SystemExit(main())
