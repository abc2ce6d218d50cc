"""Updates of services under a flood, with real clients beside it.

    python tests/bench/updates.py [--updates 10000] [--services 10000] [--writers 8]
                                  [--pps 50000] [--state [FOLDER]] [--json FILE]

Each writer reads one of a few services that all of them change, counts its `unknown_rate` up by
one and writes it back with the etag that it has read, as often as it takes until nobody came
between.  Then one creates services, moves their prefixes and ports, and deletes them.  Meanwhile
spoofed SYNs come at a steady rate, a client asks nginx through the proxy, and connections that were
open before echo bytes until all is over; the same without updates, before it, says what the machine
loses by itself.  It fails where a goal is missed, and names it.

The clocks: "apply" is the daemon's own, from the call to the last worker's acknowledgement;
"call" is the caller's, with its own work and that of gRPC, on the core of the flood and the lab.
With --state each update is a revision on disk before it runs, and what the disk takes for appending
as much by itself (fsync(2)) is told beside it; in memory (/dev/shm) it is the daemon's own work.
"""

import argparse
import asyncio
import json
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from rich.console import Console
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.lab.namespace import Namespace, python_module
from appliance.lab.peers import start_peers
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import SERVER_IPV4, SERVER_MAC, Lab
from appliance.lab.traffic import Kind, Lane, Traffic
from appliance.lab.waiting import until
from appliance.lab.webserver import start_webserver

GOAL_MS = 10.0          # 99 of 100, from the call to all workers
CALL_S = 30
FLUSHES, CHANGE_BYTES = 1000, 400       # an update's line of a change, about
CONTESTED = 16          # services that the writers share, so that etags conflict
OTHERS = 250            # of each other kind of change
# Open from before the first update until after the last: a kilobyte each way, and again.
LANES = [Lane(SERVER_IPV4, Kind.TO_AND_FRO, 1 << 10, pause_s=0.1)] * 16
QUIET_S = 5             # of the machine alone
MOST_S = 600
NICE = 19               # of all but daemon and flood, which share the daemon's control core
RESULTS = Path("bench-results/updates.json")


class Writers:
    """What they did: times in milliseconds, conflicts, and how often each service was changed."""

    def __init__(self, address: str, updates: int) -> None:
        self._address, self._left = address, updates
        self.apply_ms: list[float] = []
        self.call_ms: list[float] = []
        self.others_ms: dict[str, list[float]] = {}
        self.conflicts = 0
        self.changed: Counter[str] = Counter()

    async def run(self, writers: int) -> None:
        await asyncio.gather(*(self._write(seed) for seed in range(writers)))
        async with grpc.aio.insecure_channel(self._address) as channel:
            await self._change_otherwise(ServicesServiceStub(channel))

    async def _change_otherwise(self, stub: Any) -> None:
        for number in range(OTHERS):
            service = Service(name=f"passing-{number}", prefixes=[f"100.127.0.{number}"],
                              ports=["80"])
            self._note("create", await stub.CreateService(
                api.CreateServiceRequest(service=service), timeout=CALL_S))
            for path, value in (("prefixes", f"100.127.1.{number}"), ("ports", "8080-8090")):
                moved = Service(name=service.name, **{path: [value]})
                self._note(path, await stub.UpdateService(api.UpdateServiceRequest(
                    service=moved, update_mask=FieldMask(paths=[path])), timeout=CALL_S))
        for number in range(OTHERS):
            self._note("delete", await stub.DeleteService(
                api.DeleteServiceRequest(name=f"passing-{number}"), timeout=CALL_S))

    def _note(self, kind: str, done: Any) -> None:
        self.others_ms.setdefault(kind, []).append(milliseconds(done.apply_time))

    async def _write(self, seed: int) -> None:
        """On a connection of its own."""
        draw = random.Random(seed)
        async with grpc.aio.insecure_channel(
            self._address, [("grpc.use_local_subchannel_pool", 1)]
        ) as channel:
            stub = ServicesServiceStub(channel)
            while self._left > 0:
                self._left -= 1
                await self._count_up(stub, contested(draw.randrange(CONTESTED)))

    async def _count_up(self, stub: Any, name: str) -> None:
        while True:
            answer = await stub.GetService(api.GetServiceRequest(name=name), timeout=CALL_S)
            wanted = Service(name=name, etag=answer.service.etag)
            wanted.options.unknown_rate = answer.service.options.unknown_rate + 1
            began = time.perf_counter()
            try:
                done = await stub.UpdateService(api.UpdateServiceRequest(
                    service=wanted, update_mask=FieldMask(paths=["options.unknown_rate"])),
                    timeout=CALL_S)
            except grpc.aio.AioRpcError as error:
                if error.code() is not grpc.StatusCode.ABORTED:
                    raise
                self.conflicts += 1
                continue
            self.call_ms.append((time.perf_counter() - began) * 1e3)
            self.apply_ms.append(milliseconds(done.apply_time))
            self.changed[name] += 1
            return


def milliseconds(duration: Any) -> float:
    taken: float = duration.ToNanoseconds() / 1e6
    return taken


def contested(number: int) -> str:
    return f"contested-{number}"


def services(count: int) -> str:
    """The lab's own and this many besides, each with an address of its own."""
    lines = [SERVICES]
    for number in range(count - 1):
        name = contested(number) if number < CONTESTED else f"other-{number}"
        address = f"100.{64 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"
        lines.append(f"  - {{name: {name}, prefixes: [{address}], ports: [80],"
                     " options: {unknown_rate: 1}}\n")
    return "".join(lines)


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def run(given: argparse.Namespace) -> int:
    with Lab() as lab, tempfile.TemporaryDirectory(dir=given.state or None) as folder:
        kept = given.state is not None
        with Proxy(lab, "AF_XDP", services=services(given.services),
                   state_folder=f"{folder}/state" if kept else "") as proxy:
            # In life they have machines of their own: none of them keeps the daemon from its core.
            os.nice(NICE)
            start_webserver(lab)
            start_peers(lab)
            figures = measure(lab, proxy, given)
        if kept:
            figures["flush_ms"] = quantiles(flushes_ms(Path(folder)))
    show(figures)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(figures, indent=1) + "\n")
    return 0 if all(figures["goals"].values()) else 1


def flushes_ms(folder: Path) -> list[float]:
    """What the disk itself takes to keep a change."""
    times = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(FLUSHES):
            began = time.perf_counter()
            file.write(bytes(CHANGE_BYTES))
            os.fsync(file.fileno())
            times.append((time.perf_counter() - began) * 1e3)
    return times


def measure(lab: Lab, proxy: Proxy, given: argparse.Namespace) -> dict[str, Any]:
    idle = exchange(lab, proxy, given, None)
    writers = Writers(proxy.address, given.updates)
    busy = exchange(lab, proxy, given, writers)
    with grpc.insecure_channel(proxy.address) as channel:
        stub = ServicesServiceStub(channel)
        rates = {name: stub.GetService(api.GetServiceRequest(name=name), timeout=CALL_S)
                 .service.options.unknown_rate for name in writers.changed}
    lost = sum(abs(rates[name] - 1 - count) for name, count in writers.changed.items())
    apply_ms = quantiles(writers.apply_ms)
    return {
        "updates": len(writers.call_ms), "services": given.services, "writers": given.writers,
        "conflicts": writers.conflicts, "lost_updates": lost, "seconds": busy["seconds"],
        "apply_ms": apply_ms, "call_ms": quantiles(writers.call_ms),
        "others_ms": {kind: quantiles(times) for kind, times in writers.others_ms.items()},
        "without_updates": idle, "with_updates": busy,
        "goals": {
            f"p99 of apply {GOAL_MS:g} ms": apply_ms["p99"] <= GOAL_MS,
            "no update lost": lost == 0,
            "no packet lost": not busy["lost"] and busy["unanswered"] == 0,
            "no connection disturbed": is_served(busy) and not busy["timeouts"],
        },
    }


def is_served(part: dict[str, Any]) -> bool:
    requests, lanes = part["requests"], part["lanes"]
    return (0 < requests["attempted"] == requests["succeeded"]
            and not lanes["failures"] and lanes["whole"] == len(LANES))


def exchange(lab: Lab, proxy: Proxy, given: argparse.Namespace,
             writers: Writers | None) -> dict[str, Any]:
    """Flood, client and lanes, with the updates or, for a while, without; what was lost."""
    before, ran_out = lost_frames(lab, proxy), timeouts(lab)
    answered = answers(proxy)
    # Held up, it would make up for it by more at once than a port has room for.
    flood = lab.start(lab.client, ["nice", "-n", f"-{NICE}", *python_module(
        "appliance.lab.flood", "--interface", "eth0", "--destination", SERVER_IPV4,
        "--dst-mac", SERVER_MAC, "--pps", str(given.pps), "--count", str(given.pps * MOST_S),
        "--seconds", str(MOST_S))], stdout=subprocess.PIPE)
    client = lab.start(lab.client, python_module(
        "appliance.lab.prober", SERVER_IPV4, "--seconds", str(MOST_S), "--pause", "0.005"),
        stdout=subprocess.PIPE)
    with Traffic(lab, LANES, name="updates" if writers else "idle") as lanes:
        until(lambda: answers(proxy) > answered + given.pps, seconds=30,
              what="the flood to be answered")
        began = time.monotonic()
        if writers:
            asyncio.run(writers.run(given.writers))
        else:
            time.sleep(QUIET_S)
        seconds = time.monotonic() - began
    score, requests = ended(flood), ended(client)
    synacks = settled(proxy) - answered
    lost = {name: count for name, count in (lost_frames(lab, proxy) - before).items() if count}
    return {
        "seconds": round(seconds, 1), "flood": score, "requests": requests, "synacks": synacks,
        # A client that says its SYN again gets one more.
        "unanswered": max(score["sent"] + requests["attempted"] + len(LANES) - synacks, 0),
        "lanes": lanes_told(lanes), "timeouts": timeouts(lab) - ran_out, "lost": lost,
    }


def lanes_told(traffic: Traffic) -> dict[str, Any]:
    done = traffic.transfers()
    return {
        "whole": sum(one.failure is None for one in done),
        "failures": sorted(one.failure for one in done if one.failure),
        "carried_bytes": sum(one.carried_bytes for one in done),
        "longest_silence_ms": round(max(one.silence_s for one in done) * 1e3),
    }


def timeouts(lab: Lab) -> int:
    """Retransmission timers of the hosts' that ran out.  A tail loss probe (RFC 8985 §7) is none:
    some milliseconds for want of a core bring it."""
    return sum(host.counter("TcpExtTCPTimeouts") for host in (lab.client, lab.server))


def answers(proxy: Proxy) -> int:
    return proxy.counters()["synack_sent"]


def settled(proxy: Proxy) -> int:
    """Of the answers, once no more come."""
    seen = [-1]

    def rests() -> bool:
        seen.append(answers(proxy))
        return seen[-1] == seen[-2]

    until(rests, seconds=5, what="the last answer")
    return seen[-1]


def ended(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    process.send_signal(signal.SIGINT)
    return dict(json.loads(process.communicate(timeout=10)[0]))


def lost_frames(lab: Lab, proxy: Proxy) -> Counter[str]:
    """Where a frame can be lost for want of time or room: in the proxy, and on the way to it."""
    stats = proxy.stats()
    found: Counter[str] = Counter()
    for port in stats.ports:
        for what in ("rx_missed", "rx_errors", "tx_errors", "rx_nombuf"):
            found[f"{port.role} {what}"] = getattr(port, what)
    for worker in stats.workers:
        for reason in ("tx_full", "no_buffer"):
            found[reason] += worker.counters[reason]
    for name, host in (("client", lab.client), ("server", lab.server)):
        found[f"{name}'s interface"] = dropped(host)
    return found


def dropped(host: Namespace) -> int:
    """Frames that the far end of its cable had no room for."""
    (shown,) = json.loads(host.run(
        ["ip", "-json", "-statistics", "link", "show", "eth0"]).stdout)
    return int(shown["stats64"]["tx"]["dropped"])


def quantiles(times: list[float]) -> dict[str, float]:
    taken = sorted(times)
    return {name: round(taken[min(int(len(taken) * share), len(taken) - 1)], 2)
            for name, share in (("median", 0.5), ("p99", 0.99), ("p99.9", 0.999), ("max", 1))}


def show(figures: dict[str, Any]) -> None:
    print(f"{figures['updates']} updates by {figures['writers']} writers with "
          f"{figures['services']} services, {figures['conflicts']} etag conflicts, "
          f"{figures['lost_updates']} lost, in {figures['seconds']} s with those of other kinds")
    times = {clock: figures[f"{clock}_ms"] for clock in ("apply", "call", "flush")
             if f"{clock}_ms" in figures}
    for clock, taken in (times | figures["others_ms"]).items():
        print(f"{clock:>9} ms: " + "  ".join(f"{name} {ms}" for name, ms in taken.items()))
    for what, part in (("without", figures["without_updates"]), ("with", figures["with_updates"])):
        print("\n".join(told(what, part)))
    for goal, reached in figures["goals"].items():
        print(f"goal: {goal}: {'reached' if reached else 'missed'}")


def told(what: str, part: dict[str, Any]) -> Iterable[str]:
    requests, lanes = part["requests"], part["lanes"]
    yield (f"{what} updates: flood {part['flood']['pps']} SYN/s, {part['unanswered']} of"
           f" {part['flood']['sent']} SYNs unanswered, lost {part['lost'] or 'nothing'}")
    yield (f"  {requests['attempted']} requests, {requests['succeeded']} served, median"
           f" {requests['median_ms']} ms, p99 {requests['p99_ms']} ms")
    yield (f"  {lanes['whole']} of {len(LANES)} connections whole, {lanes['carried_bytes']} bytes"
           f" echoed, longest silence {lanes['longest_silence_ms']} ms"
           + "".join(f"; {failure}" for failure in lanes["failures"])
           + f"; {part['timeouts']} retransmission timers ran out")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--updates", type=within(1, 1_000_000), default=10_000,
                        help="default %(default)s")
    parser.add_argument("--services", type=within(CONTESTED + 1, 16_000), default=10_000,
                        help="default %(default)s")
    parser.add_argument("--writers", type=within(1, 64), default=8, help="default %(default)s")
    parser.add_argument("--pps", type=within(1, 10_000_000), default=50_000,
                        help="spoofed SYNs each second; default %(default)s")
    parser.add_argument("--state", nargs="?", const="", metavar="FOLDER",
                        help="keep them on disk: in a new folder there, else in that for temporary"
                             " files")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
