"""Bulk data through synproxyd, beside the kernel's bridge and testpmd over the same cables.

    python tests/bench/bulk.py [--rounds 5] [--seconds 2] [--json FILE]

iperf3 over one and over four connections, to the server and from it, by what stands between (see
between.py), in turn.  No end has offloads, so each frame is one of 1514 bytes for all of them.
The figures are Gbit/s of payload as the receiver has them, medians of all rounds; in brackets
the ratio to the bridge that forwards on a core of its own, of medians and of the best rounds:
others' work on this machine only takes away.
"""

import argparse
import json
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from between import BETWEEN
from plot import Curve, plot_write
from report import report_write
from rich.console import Console

from appliance.lab.namespace import LabError
from appliance.lab.program import lab_program, within
from appliance.lab.topology import SERVER_IPV4, Lab, stop
from appliance.lab.waiting import until

PORT = 5201                 # of the lab's service
BESIDE = "bridge, own core"
RESULTS = Path("bench-results/bulk.json")
CASES = {
    f"{streams} {'stream' if streams == 1 else 'streams'} {way}":
        ["--parallel", str(streams), *direction]
    for streams in (1, 4) for way, direction in (("up", []), ("down", ["--reverse"]))
}
# By what stood between and case: Gbit/s, by round.
Figures = dict[str, dict[str, list[float]]]


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=within(1, 1000), default=5, help="default %(default)s")
    parser.add_argument("--seconds", type=within(1, 60), default=2,
                        help="of each transfer; default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


def run(given: argparse.Namespace) -> int:
    figures: Figures = defaultdict(lambda: defaultdict(list))
    with Lab() as lab:
        for _ in range(given.rounds):
            for name, between in BETWEEN.items():
                with between(lab):
                    for case, told in CASES.items():
                        figures[name][case].append(gbit_s(lab, given.seconds, told))
    show(figures)
    report_write(given.json, {"gbit_s": figures})
    plot_write(given.json.with_suffix(".svg"), "Bulk data", "Gbit/s", [
        Curve(name, list(CASES), [statistics.median(cases[case]) for case in CASES])
        for name, cases in figures.items()])
    return 0


def gbit_s(lab: Lab, seconds: int, told: list[str]) -> float:
    with serving(lab):
        report = json.loads(lab.client.run([
            "iperf3", "--client", SERVER_IPV4, "--port", str(PORT), "--json",
            "--time", str(seconds), *told], check=False).stdout)
    if "error" in report:
        raise LabError(f"iperf3: {report['error']}")
    return report["end"]["sum_received"]["bits_per_second"] / 1e9


@contextmanager
def serving(lab: Lab) -> Iterator[None]:
    """A server for one transfer: one that goes on waits for the FIN of its last client, which may
    have ended with the proxy between them."""
    process = lab.start(lab.server, ["iperf3", "--server", "--one-off", "--port", str(PORT)],
                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: str(PORT) in lab.server.run(["ss", "-Hltn"]).stdout, seconds=5,
              what="iperf3 to listen")
        yield
    finally:
        stop(process)


def show(figures: Figures) -> None:
    print(f"{'Gbit/s':18}" + "".join(f"{case:>22}" for case in CASES))
    for name, cases in figures.items():
        line = f"{name:18}"
        for case in CASES:
            ours, beside = cases[case], figures[BESIDE][case]
            line += (f"{statistics.median(ours):9.2f} "
                     f"({statistics.median(ours) / statistics.median(beside):4.2f}, "
                     f"{max(ours) / max(beside):4.2f})")
        print(line)


if __name__ == "__main__":
    raise SystemExit(main())
