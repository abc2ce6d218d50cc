"""The demonstration: `python -m appliance.lab.demo`, as root.

A real client asks a real nginx for a byte, again and again: through synproxyd, while it is quiet,
under a flood of spoofed SYNs, and after it; then without the proxy under the same flood.
Ends by itself, leaves nothing behind, exits 0 only if the proxied client was always served.
"""

import argparse
import json
import subprocess
import sys
import time
from collections import Counter

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from appliance.lab.bridge import bridged
from appliance.lab.flood import Score
from appliance.lab.namespace import Namespace, python_module
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import Proxy
from appliance.lab.report import Report
from appliance.lab.scoreboard import Phase, show
from appliance.lab.topology import SERVER_IPV4, SERVER_MAC, Lab
from appliance.lab.waiting import until
from appliance.lab.webserver import start_webserver

QUIET_S = 4
FLOODED_S = 8
FLOOD_MARGIN_S = 2      # the flood starts before the client's first request, and ends after it
REQUEST_TIMEOUT_S = 5   # a lost SYN is sent again after 1 and 3 s: people wait for that
TICK_S = 0.1


class Demonstration:
    """The phases, run one after the other in one lab."""

    def __init__(self, lab: Lab, progress: Progress, pps: int) -> None:
        self._lab, self._progress, self._pps = lab, progress, pps
        self.phases: list[Phase] = []

    def run(self, driver: str) -> None:
        with Proxy(self._lab, driver) as proxy:
            self._phase("proxy, quiet", proxy)
            self._phase("proxy, flooded", proxy, flooded=True)
            self._phase("proxy, afterwards", proxy)
        with bridged(self._lab):
            self._phase("no proxy, flooded", None, flooded=True)
            self._lab.server.configure({"net/ipv4/tcp_syncookies": "0"})
            self._phase("the same, no SYN cookies", None, flooded=True)

    def _phase(self, name: str, proxy: Proxy | None, flooded: bool = False) -> None:
        counters, drops = _read(proxy)
        frames, answers = self._frames(self._lab.server, "rx"), self._server_answers()
        flood = self._start_flood() if flooded else None
        client = self._ask(name, FLOODED_S if flooded else QUIET_S)
        score = Score(**json.loads(flood.communicate()[0])) if flood else None
        counters_then, drops_then = _read(proxy)
        self.phases.append(Phase(
            name, proxied=proxy is not None, client=client, flood=score,
            server_frames=self._frames(self._lab.server, "rx") - frames,
            counters=counters_then - counters, drops=drops_then - drops,
            server_answers=self._server_answers() - answers))

    def _ask(self, name: str, seconds: int) -> Report:
        """Requests for a while, with a bar that shows how far it is."""
        prober = self._lab.start(self._lab.client, python_module(
            "appliance.lab.prober", SERVER_IPV4, "--seconds", str(seconds), "--concurrency", "4",
            "--pause", "0.01", "--timeout", str(REQUEST_TIMEOUT_S)), stdout=subprocess.PIPE)
        task = self._progress.add_task(name, total=seconds)
        started = time.monotonic()
        while True:
            try:
                answer, _ = prober.communicate(timeout=TICK_S)
                break
            except subprocess.TimeoutExpired:
                self._progress.update(task, completed=time.monotonic() - started)
        self._progress.update(task, completed=seconds)
        return Report(**json.loads(answer))

    def _start_flood(self) -> "subprocess.Popen[bytes]":
        seconds = FLOODED_S + FLOOD_MARGIN_S
        client = self._lab.client
        before = self._frames(client, "tx")
        started = self._lab.start(client, python_module(
            "appliance.lab.flood", "--interface", "eth0", "--destination", SERVER_IPV4,
            "--dst-mac", SERVER_MAC, "--pps", str(self._pps),
            "--count", str(self._pps * seconds), "--seconds", str(seconds)),
            stdout=subprocess.PIPE)
        until(lambda: self._frames(client, "tx") > before + self._pps // 10, seconds=5,
              what="the flood to rise")
        return started

    def _frames(self, host: Namespace, way: str) -> int:
        """Frames that the host's interface has sent (tx) or received (rx) so far."""
        shown = host.run(["ip", "-json", "-stats", "link", "show", "eth0"]).stdout
        return int(json.loads(shown)[0]["stats64"][way]["packets"])

    def _server_answers(self) -> int:
        return self._lab.server.counter("TcpExtSyncookiesSent")


def _read(proxy: Proxy | None) -> tuple[Counter[str], Counter[str]]:
    """Fates and drops so far; none where no daemon runs."""
    counters: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    if proxy:
        for worker in proxy.stats().workers:
            counters.update(worker.counters)
            drops.update(worker.drops)
    return counters, drops


def demonstrate(console: Console, driver: str, pps: int) -> list[Phase]:
    columns = (TextColumn("{task.description:<26}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress, Lab() as lab:
        start_webserver(lab)
        demonstration = Demonstration(lab, progress, pps)
        demonstration.run(driver)
    return demonstration.phases


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.demo",
                                     description="Show a client served through a SYN flood.")
    parser.add_argument("--driver", choices=("AF_XDP", "AF_PACKET"), default="AF_XDP")
    parser.add_argument("--pps", type=within(1, 10_000_000), default=100_000,
                        help="SYNs a second")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    console = Console()
    return lab_program(console, lambda: run(console, given.driver, given.pps))


def run(console: Console, driver: str, pps: int) -> int:
    phases = demonstrate(console, driver, pps)
    show(console, phases)
    if all(phase.served for phase in phases if phase.proxied):
        console.print("[green]Through synproxyd every request was served.[/]")
        return 0
    console.print("[red]Through synproxyd not every request was served.[/]")
    return 1


if __name__ == "__main__":
    sys.exit(main())
