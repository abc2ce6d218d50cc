"""Ours beside macswap, in turn: the medians, their ratio, and how they are told.

macswap is the ceiling: it takes the same frames through the same driver and only swaps their
MAC addresses.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from contestants import Course, synproxy_run, testpmd_run
from plot import Curve, plot_write
from report import report_write

HEADER = f"{'':30} {'synproxy':>9} {'macswap':>9} {'ratio':>6} {'best':>6} {'goal':>5}"


@dataclass(frozen=True)
class Result:
    """Million frames a second of a worker's CPU time, by round."""

    name: str
    goal: float | None
    synproxy_mpps: list[float]
    macswap_mpps: list[float]

    @property
    def ratio(self) -> float:
        return statistics.median(self.synproxy_mpps) / statistics.median(self.macswap_mpps)

    @property
    def best(self) -> float:
        """A neighbour on the same core's other thread slows the busier of the two more."""
        return max(self.synproxy_mpps) / max(self.macswap_mpps)

    @property
    def told(self) -> dict[str, object]:
        return vars(self) | {"ratio": self.ratio}


def beside(name: str, course: Course, rounds: int, seconds: float,
           goal: float | None = None) -> Result:
    """Measure and print a line."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(synproxy_run(course, seconds).mpps)
        theirs.append(testpmd_run(course, seconds, course.devices).mpps)
    result = Result(name, goal, ours, theirs)
    print(line(result), flush=True)
    return result


def line(result: Result) -> str:
    """Of a table under HEADER."""
    goal = result.goal
    said = "" if goal is None else f"{goal:5.2f} {'reached' if result.ratio >= goal else 'missed'}"
    return (f"{result.name:30} {statistics.median(result.synproxy_mpps):9.2f} "
            f"{statistics.median(result.macswap_mpps):9.2f} {result.ratio:6.2f} "
            f"{result.best:6.2f} {said}".rstrip())


def write(results: Sequence[Result], path: Path, title: str) -> None:
    """As JSON, and as a plot beside it."""
    report_write(path, [result.told for result in results])
    plot_write(path.with_suffix(".svg"), title, "of macswap's rate", [
        Curve("synproxy", [result.name for result in results],
              [result.ratio for result in results])])
