"""What is going on, in words: a flood, or what else is wrong, or that all is quiet."""

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from appliance.top.history import Plots
from appliance.top.rates import WorkerRow, passed_s, share
from appliance.top.sample import Sample
from appliance.top.words import percent, short

# From here on it speaks up; the status page and docker/prometheus/rules.yml have the same figures.
FLOOD_PPS = 1000
DROPS_PPS = 100
FILL_WARN, FILL_BAD = 0.8, 0.95


class Level(Enum):
    GOOD = "good"
    WARN = "warn"
    BAD = "bad"


class Statement(NamedTuple):
    level: Level
    text: str


QUIET = Statement(Level.GOOD, "Quiet: nothing to complain about.")
EARLY = Statement(Level.GOOD, "Counting: rates come with the next look.")


def headline(
    now: Sample, then: Sample | None, workers: list[WorkerRow], plots: Plots
) -> list[Statement]:
    """The worst first."""
    known = passed_s(now, then) > 0
    found = [*(_rates(plots) if known else ()), *_states(now, workers if known else [])]
    found.sort(key=lambda one: one.level is not Level.BAD)
    return found or [QUIET if known else EARLY]


def _rates(plots: Plots) -> Iterator[Statement]:
    last = {name: points[-1] for name, points in plots.items()}
    unproved = last["synack_sent"] - last["cookie_valid"]
    if unproved > FLOOD_PPS:
        yield Statement(
            Level.BAD, f"SYN flood: {short(unproved)} cookies/s unproved,"
            f" {short(last['cookie_valid'])}/s proved.")
    if last["dropped"] > DROPS_PPS:
        yield Statement(Level.WARN, f"{short(last['dropped'])} frames/s are dropped.")


def _states(now: Sample, workers: list[WorkerRow]) -> Iterator[Statement]:
    if now.draining:
        yield Statement(Level.WARN, "Draining: new connections are not taken.")
    for role, port in now.ports.items():
        if not port.link_up:
            yield Statement(Level.BAD, f"The {role} port has no link.")
    for worker in workers:
        if not worker.turns:
            yield Statement(
                Level.BAD, f"The worker on core {worker.lcore} is stuck: it makes no turn.")
    for name, part, whole in now.fills():
        if share(part, whole) > FILL_WARN:
            yield Statement(fill_level(share(part, whole)),
                            f"{name}: {percent(share(part, whole))} in use.")


def fill_level(fill: float) -> Level:
    """Of what should not fill up."""
    if fill > FILL_BAD:
        return Level.BAD
    return Level.WARN if fill > FILL_WARN else Level.GOOD
