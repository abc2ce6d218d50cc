"""The latency of requests through synproxyd, beside the kernel's bridge over the same cables.

    python tests/bench/latency.py [--driver AF_XDP] [--rounds 5] [--seconds 2] [--json FILE]

Requests for a byte come at a constant rate over connections that are kept (see open_loop.py) and
go to nginx, which shares the hosts' core with them.  First each way's capacity is measured; the
rates are shares of the least.  What stands between (see between.py) takes turns.  The figures are
medians of all rounds; in brackets the ratio to the bridge that forwards on a core of its own, of
medians and of the best rounds: others' work on this machine only takes away.

A round in which the worker waited for its core tells of those others: a worker polls without rest,
so that whoever shares its core gets half of it, some milliseconds at a time.
"""

import argparse
import json
import statistics
import sys
from collections import defaultdict
from pathlib import Path

from arguments import parser_of
from between import BETWEEN, waited_s
from open_loop import SHARES
from plot import Curve, plot_write
from report import report_write
from rich.console import Console

from appliance.lab.program import lab_program
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.webserver import start_webserver

OPEN_LOOP = Path(__file__).with_name("open_loop.py")
LOADS_PERCENT = (10, 50, 80)
BESIDE = "bridge, own core"
# By what stood between: requests a second at most, by round.
Capacities = dict[str, list[float]]
WAITED = "worker waited"    # for its core, while it was asked
# By what stood between, load and share of requests, or WAITED: microseconds, by round.
Latencies = dict[str, dict[int, dict[str, list[float]]]]


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__.splitlines()[0], Path("bench-results/latency.json"))
    parser.set_defaults(seconds=2.0)
    parser.add_argument("--driver", choices=("AF_XDP", "AF_PACKET"), default="AF_XDP")
    return parser.parse_args()


def run(given: argparse.Namespace) -> int:
    contestants = ("bridge", BESIDE, given.driver)
    with Lab() as lab:
        start_webserver(lab)
        capacities = capacities_of(lab, contestants, given)
        least = min(map(statistics.median, capacities.values()))
        latencies = latencies_of(lab, contestants, given, least)
    show(capacities, latencies, least)
    report_write(given.json, {"capacity_rps": capacities, "latency_us": latencies})
    plot(given.json.with_suffix(".svg"), latencies)
    return 0


def capacities_of(lab: Lab, contestants: tuple[str, ...],
                  given: argparse.Namespace) -> Capacities:
    capacities = defaultdict(list)
    for _ in range(given.rounds):
        for name in contestants:
            with BETWEEN[name](lab):
                capacities[name].append(asked(lab, 0, given.seconds)["rate"])
    return capacities


def latencies_of(lab: Lab, contestants: tuple[str, ...], given: argparse.Namespace,
                 capacity_rps: float) -> Latencies:
    latencies: Latencies = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for _ in range(given.rounds):
        for name in contestants:
            with BETWEEN[name](lab) as between:
                for load in LOADS_PERCENT:
                    before_s = waited_s(between)
                    told = asked(lab, int(capacity_rps * load / 100), given.seconds)
                    latencies[name][load][WAITED].append((waited_s(between) - before_s) * 1e6)
                    for share in SHARES:
                        latencies[name][load][share].append(told[share])
    return latencies


def asked(lab: Lab, rate: int, seconds: float) -> dict[str, float]:
    return json.loads(lab.client.run([
        sys.executable, "-P", str(OPEN_LOOP), SERVER_IPV4, "--rate", str(rate),
        "--seconds", str(seconds)]).stdout)


def show(capacities: Capacities, latencies: Latencies, least: float) -> None:
    for name, rates in capacities.items():
        print(f"{name:18}{statistics.median(rates):10.0f} requests/s at most")
    print(f"\n{'us':18}{'load':>6}{'requests/s':>12}"
          + "".join(f"{share:>24}" for share in SHARES) + f"{WAITED:>16}")
    for load in LOADS_PERCENT:
        for name, loads in latencies.items():
            line = f"{name:18}{load:4} %{least * load / 100:12.0f}"
            for share in SHARES:
                ours = loads[load][share]
                beside = latencies[BESIDE][load][share]
                line += (f"{statistics.median(ours):9.0f} "
                         f"({statistics.median(ours) / statistics.median(beside):6.2f}, "
                         f"{min(ours) / min(beside):5.2f})")
            print(f"{line}{statistics.median(loads[load][WAITED]) / 1000:13.0f} ms")


def plot(path: Path, latencies: Latencies) -> None:
    plot_write(path, "Latency of requests", "us, p50 / p99 / p99.9 at each load", [
        Curve(name, [f"{load} % {share}" for load in LOADS_PERCENT for share in SHARES],
              [statistics.median(loads[load][share])
               for load in LOADS_PERCENT for share in SHARES])
        for name, loads in latencies.items()])


if __name__ == "__main__":
    raise SystemExit(main())
