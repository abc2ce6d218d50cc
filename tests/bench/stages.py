"""Where a worker's cycles go: of each stage, a frame, beside macswap's of the same frames.

    make bench-stages
    python tests/bench/stages.py [--rounds 5] [--seconds 1] [--json FILE]

Cycles are the TSC's, whose rate is constant: time, and not the core's own clock.  They are counted
in a build for it alone (-Dprofile=true), which `make bench-stages` makes apart from the installed
one.  What the readings take themselves is in each stage, and is told.
"""

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import established
import rates
from arguments import arguments
from contestants import Course, counters_of, frames_met, synproxy_at_work, testpmd_run
from plot import stacks_write
from report import report_write
from syn_pcap import SERVERS

RESULTS = Path("bench-results/stages.json")
OPEN = 64_000


@dataclass(frozen=True)
class Profile:
    """Of one run: TSC cycles a frame."""

    by_stage: Mapping[str, float]
    reading: float              # of all stages: what their readings of the TSC take
    macswap: float

    @property
    def total(self) -> float:
        return sum(self.by_stage.values())


def main() -> int:
    given = arguments(__doc__.splitlines()[0], RESULTS)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        if not pool.apply(is_profiled):
            print("This build counts no cycles of stages: make bench-stages", file=sys.stderr)
            return 1
    profiles = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, course in courses(Path(folder)).items():
            print(f"measuring {name} ...", file=sys.stderr)
            profiles[name] = middle([profiled(course, given.seconds)
                                     for _ in range(given.rounds)])
    show(profiles)
    report_write(given.json, {name: vars(one) | {"total": one.total}
                              for name, one in profiles.items()})
    stacks_write(given.json.with_suffix(".svg"), "TSC cycles a frame",
                 {name: one.by_stage for name, one in profiles.items()},
                 "macswap, all", [one.macswap for one in profiles.values()])
    return 0


def is_profiled() -> bool:
    from cython_core._testing_stages import profiled

    return profiled()


def courses(folder: Path) -> dict[str, Course]:
    found = {}
    for family in SERVERS:
        for name, course in rates.courses(folder, family).items():
            found[f"{name.split(' →')[0]}, IPv{family}"] = course
    course = established.course_of(folder, OPEN, fill=0.5)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(established.record, (course,))
    return found | {f"{OPEN:,} open": course}


def profiled(course: Course, seconds: float) -> Profile:
    # EAL starts once in a process.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        by_stage, reading, hz = pool.apply(cycles_a_frame, (course, seconds))
    macswap = testpmd_run(course, seconds, course.devices)
    return Profile(by_stage, reading, hz / (macswap.mpps * 1e6))


def cycles_a_frame(course: Course, seconds: float) -> tuple[dict[str, float], float, int]:
    from cython_core._testing_stages import (
        frames_and_bursts,
        reading_cycles,
        stage_cycles,
        tsc_hz,
    )

    with synproxy_at_work(course) as dataplane:
        met, before = counters_of(dataplane), stage_cycles(dataplane)
        frames, bursts = frames_and_bursts(dataplane)
        time.sleep(seconds)
        after = stage_cycles(dataplane)
        frames_now, bursts_now = frames_and_bursts(dataplane)
        frames_met(course, met, counters_of(dataplane))
        gained = {name: after[name] - before[name] for name in after}
        taken = {name: cycles / (frames_now - frames) for name, cycles in gained.items() if cycles}
        reading = len(taken) * reading_cycles() * (bursts_now - bursts) / (frames_now - frames)
        return taken, reading, tsc_hz()


def middle(runs: Sequence[Profile]) -> Profile:
    """The run whose total is the median: so its stages add up."""
    return sorted(runs, key=lambda run: run.total)[len(runs) // 2]


def show(profiles: Mapping[str, Profile]) -> None:
    print(f"{'TSC cycles a frame':20}" + "".join(f"  {name}" for name in profiles))
    lines = [(stage, lambda one, stage=stage: one.by_stage.get(stage, 0.0))
             for stage in next(iter(profiles.values())).by_stage]
    lines += [("all", lambda one: one.total), ("of these, readings", lambda one: one.reading),
              ("macswap", lambda one: one.macswap)]
    for said, of in lines:
        print(f"{said:20}" + "".join(f"  {of(one):{len(name)}.0f}"
                                     for name, one in profiles.items()))


if __name__ == "__main__":
    raise SystemExit(main())
