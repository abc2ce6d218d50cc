"""A mixed attack at 0.8 of what the proxy takes, beside 200 real clients.

    python tests/bench/attack.py [--driver AF_XDP] [--seconds 60] [--share 0.8] [--clients 200]

First the same run measures how much of the mixture (appliance/lab/mixture.py) the proxy takes, the
generator as fast as it can.  Then comes a share of that, while clients of the kernel's own TCP
fetch, bring and exchange bytes with the server through the very service that is attacked, over one
connection after the other, and hold what comes against its SHA-256.  It fails where one of a
thousand of these transfers does, where a frame has met no fate or another than its kind's, where
the generator didn't keep its rate, and names it.

The proxy's worker has core 1 to itself with all that the kernel does for it (rivals.py).  The
generator, clients, server, their kernels and the daemon's own thread share core 0: that is why the
clients rest between two transfers, and how fast they are served says nothing about the proxy.  All
of it runs before the machine's other programs, the worker and the generator before the rest.
"""

import argparse
import dataclasses
import json
import math
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from favoured import FAVOURED, be_favoured, priority
from report import report_write
from rich.console import Console
from rivals import give_core

from appliance.lab.ledger import Ledger, Reading, read
from appliance.lab.mixture import IPV4_FRAGMENT, mixture
from appliance.lab.namespace import python_module
from appliance.lab.peers import Peer, start_peers
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import SERVERS, Lab
from appliance.lab.traffic import Kind, Lane, Traffic

GOAL = 0.999                # of the transfers
SHARE = 0.8                 # of the capacity
KEPT = 0.95                 # of the rate that is asked for: else the generator was held up
CAPACITY_ROUNDS, CAPACITY_S = 3, 1
TRANSFER_BYTES = 16 << 10
WORD_BYTES = 1 << 10
PAUSE_S = 2.0               # between a client's transfers, or its words
LASTING = 5                 # one of so many clients keeps its connection
RESULTS = Path("bench-results/attack.json")
# So that each kind has one fate: what is unknown passes by default, so many a second.
DROPPING = "    options: {unknown_flow: DROP}\n"
# nice(2) of clients and server; before them are the worker and the generator.
SECOND = -10
# sched(7): whatever else wants its core, the generator has it when its next volley is due, but for
# the rest that it takes: the lab's commands, the clients and their kernels live of that.
IN_TIME = ("chrt", "--fifo", "1")
REST = 0.15                 # of the core's time


@dataclass(frozen=True)
class Capacity:
    """Frames a second, as fast as the generator can."""

    offered: float
    taken: float


class Attack:
    """On a proxy in its lab."""

    def __init__(self, lab: Lab, proxy: Proxy, driver: str) -> None:
        self._lab, self._proxy = lab, proxy
        self._without = [IPV4_FRAGMENT] if driver == "AF_PACKET" else []
        self._kinds = mixture(Peer.SUPPLIES, self._without)

    def capacity(self) -> Capacity:
        """The best of some rounds: in the others something else had the cores."""
        return max((self._capacity() for _ in range(CAPACITY_ROUNDS)), key=lambda one: one.taken)

    def _capacity(self) -> Capacity:
        before = read(self._lab, self._proxy)
        score = self._ended(self._begun(["nice", "-n", str(FAVOURED)], 0, CAPACITY_S))
        gained = read(self._lab, self._proxy).since(before)
        return Capacity(score["drawn"] / score["seconds"], gained.received / score["seconds"])

    def round(self, pps: int, seconds: float, clients: int) -> dict[str, Any]:
        """Figures, and `faults` in words."""
        before = read(self._lab, self._proxy)
        with priority(SECOND):
            traffic = Traffic(self._lab, lanes(clients))
        with traffic:
            score = self._ended(self._begun(IN_TIME, pps, seconds))
        gained = read(self._lab, self._proxy).since(before)
        ledger = Ledger(gained, self._kinds, score["by_kind"])
        faults = ledger.faults()
        if score["pps"] < KEPT * pps:
            faults.append(f"the generator sent {score['pps']} frames a second of {pps}")
        return {"asked_pps": pps, "score": score, "clients": clients_told(traffic),
                "ledger": ledger_told(ledger), "faults": faults}

    def _begun(self, scheduled: Sequence[str], pps: int,
               seconds: float) -> subprocess.Popen[bytes]:
        return self._lab.start(self._lab.client, [
            *scheduled, *python_module(
                "appliance.lab.mixture", "--pps", str(pps), "--seconds", str(seconds),
                "--rest", str(REST), "--without", *self._without)], stdout=subprocess.PIPE)

    def _ended(self, generator: subprocess.Popen[bytes]) -> dict[str, Any]:
        return dict(json.loads(generator.communicate()[0]))


def lanes(clients: int) -> list[Lane]:
    """By turns over IPv4 and IPv6; down, up, and some that last."""
    servers = [server.address for server in SERVERS.values()]
    kinds = [Kind.TO_AND_FRO if at % LASTING == 0 else (Kind.DOWN, Kind.UP)[at // LASTING % 2]
             for at in range(clients)]
    return [Lane(servers[at % len(servers)], kind,
                 WORD_BYTES if kind is Kind.TO_AND_FRO else TRANSFER_BYTES, pause_s=PAUSE_S)
            for at, kind in enumerate(kinds)]


def clients_told(traffic: Traffic) -> dict[str, Any]:
    done = traffic.transfers()
    whole = [one for one in done if not one.failure]
    short_ms = sorted((one.ended_s - one.began_s) * 1e3 for one in whole
                      if one.kind != Kind.TO_AND_FRO)
    return {
        "transfers": len(done), "whole": len(whole),
        "success": len(whole) / len(done) if done else 0,
        "failures": sorted(f"{one.kind}: {one.failure}" for one in done if one.failure),
        "carried_bytes": sum(one.carried_bytes for one in whole),
        "median_ms": round(statistics.median(short_ms), 1) if short_ms else None,
        "p99_ms": round(short_ms[math.ceil(len(short_ms) * 0.99) - 1], 1) if short_ms else None,
        "longest_silence_s": round(max((one.silence_s for one in done), default=0), 2),
    }


def ledger_told(ledger: Ledger) -> dict[str, Any]:
    gained: Reading = ledger.gained
    return {"lines": [vars(line) for line in ledger.lines], "unattributed": ledger.unattributed,
            "offered": gained.offered, "received": gained.received, "missed": gained.missed,
            "lost": ledger.lost, "client_syns": gained.client_syns,
            "rsts": gained.rsts}


@contextmanager
def standing(driver: str, services: str = "") -> Iterator[tuple[Lab, Proxy]]:
    """A proxy that has its core, and the server's peers; `services` are more than the lab's."""
    with Lab() as lab, ExitStack() as running:
        give_core(lab, driver)
        be_favoured()
        proxy = running.enter_context(
            Proxy(lab, driver, services=SERVICES + DROPPING + services))
        with priority(SECOND):
            start_peers(lab)
        yield lab, proxy


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def run(given: argparse.Namespace) -> int:
    with standing(given.driver) as (lab, proxy):
        attack = Attack(lab, proxy, given.driver)
        capacity = attack.capacity()
        show_capacity(given.driver, capacity)
        figures = attack.round(int(given.share * capacity.taken), given.seconds, given.clients)
    show(figures)
    good = is_good(figures)
    report_write(given.json, figures | {"driver": given.driver, "good": good,
                                        "capacity": dataclasses.asdict(capacity)})
    return 0 if good else 1


def is_good(figures: dict[str, Any]) -> bool:
    return not figures["faults"] and figures["clients"]["success"] >= GOAL


def show_capacity(driver: str, capacity: Capacity) -> None:
    print(f"{driver}: {capacity.taken:,.0f} frames a second taken of {capacity.offered:,.0f}",
          flush=True)


def show(figures: dict[str, Any]) -> None:
    score, ledger, clients = figures["score"], figures["ledger"], figures["clients"]
    print(f"\n{score['sent']:,} frames in {score['seconds']} s, {score['pps']:,} a second of"
          f" {figures['asked_pps']:,}, {score['refused']:,} refused by the interface;"
          f" {ledger['received']:,} came in, {ledger['missed']:,} were missed")
    print(f"{'fate':18} {'sent':>12} {'met':>12} {'lacks':>8}")
    for line in ledger["lines"]:
        lacks = line["sent"] - line["met"]
        print(f"{line['fate']:18} {line['sent']:12,} {line['met']:12,} {lacks:8,}")
    print(f"{clients['whole']:,} of {clients['transfers']:,} transfers whole:"
          f" {clients['success']:.3%}; median {clients['median_ms']} ms,"
          f" p99 {clients['p99_ms']} ms, longest silence {clients['longest_silence_s']} s")
    for failure in clients["failures"]:
        print(f"  {failure}")
    for fault in figures["faults"]:
        print(f"fault: {fault}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    attack_arguments(parser)
    parser.add_argument("--seconds", type=within(1.0, 86_400.0), default=60.0,
                        help="default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


def attack_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--driver", choices=("AF_XDP", "AF_PACKET"), default="AF_XDP")
    parser.add_argument("--share", type=within(0.01, 1.0), default=SHARE,
                        help="of the capacity; default %(default)s")
    parser.add_argument("--clients", type=within(LASTING, 1000), default=200,
                        help="default %(default)s")


if __name__ == "__main__":
    raise SystemExit(main())
