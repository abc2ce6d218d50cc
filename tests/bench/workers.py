"""What a second worker adds, and what it costs to hand a frame over to the owner of its flow.

    python tests/bench/workers.py [--open 64k] [--family 4] [--rounds 5] [--seconds 1]
                                  [--json FILE]

Million frames a second, each worker's by its own CPU time, both together.  Every queue of
net_pcap gives its frames without end to the worker that polls it, so there is no generator; the
main lcore, which sleeps meanwhile, shares the second worker's CPU.  What is handed over is decided
by the queue that the frames of a connection are put in: its owner's, or the other one's.  testpmd's
macswap on the same frames, on one core and on two, is what the machine makes of a second one.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

from arguments import family_add, parser_of
from contestants import (
    WARM_UP_S,
    Course,
    crowd_of,
    dataplane_of,
    testpmd_run,
    thread_times,
)
from established import numbers
from pcap_file import pcap_write
from plot import Curve, plot_write
from report import report_write
from syn_pcap import SERVERS, SYNS

RESULTS = Path("bench-results/workers.json")
GOAL = 1.9
WORKERS = 2
SHARES = (0.0, 0.5, 1.0)    # of the frames that come to another worker than their flow's owner
SPOKEN_FOR = 1 << 13        # connections that have frames in the files
SIDES = ("client", "server")


@dataclass(frozen=True)
class Case:
    """A course, and the file of each queue of each side."""

    name: str
    course: Course
    queues: dict[str, list[Path]]
    macswap: bool = False

    @property
    def devices(self) -> list[str]:
        return [
            f"net_pcap{at}," + ",".join(f"rx_pcap={file}" for file in self.queues[side])
            + ",infinite_rx=1" if self.queues[side] else f"net_ring{at}"
            for at, side in enumerate(SIDES)]


@dataclass(frozen=True)
class Run:
    mpps: float                 # of all workers together
    shares: list[float]         # of each worker, of what was decided
    lost: float                 # share of what was received: an inbox was full


def main() -> int:
    given = arguments()
    with tempfile.TemporaryDirectory() as folder:
        cases = cases_of(Path(folder), given.open, given.family)
        runs: dict[str, list[Run]] = {case.name: [] for case in cases}
        for _ in range(given.rounds):
            for case in cases:
                runs[case.name].append(measured(case, given.seconds))
    show(runs, given.family)
    write(runs, given.json)
    return 0


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    parser.add_argument("--open", type=lambda text: numbers(text)[0], default=64_000,
                        metavar="NUMBER",
                        help="connections, e.g. 64k, the default")
    family_add(parser)
    return parser.parse_args()


def cases_of(folder: Path, opened: int, family: int) -> list[Case]:
    syns = Course(folder / "syn", frames=SYNS * WORKERS, servers=(SERVERS[family],), family=family)
    acks = replace(syns, client=folder / "ack", frames=2 * SPOKEN_FOR * WORKERS,
                   fate=("translated",), room=2 * opened, opened=opened,
                   now_ms=time.time_ns() // 1_000_000)
    both = replace(acks, workers=WORKERS)
    # EAL starts once in a process, and the frames must be there before the ports are.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        flood = pool.apply(syns_of, (syns, folder))
        alone = pool.apply(queues_of, (acks, folder, 0.0))
        beside = {share: pool.apply(queues_of, (both, folder, share)) for share in SHARES}
    syns_both = replace(syns, workers=WORKERS)
    one, two = ({"client": files, "server": []} for files in (flood[:1], flood))
    return [
        Case("SYN, one worker", syns, one),
        Case("SYN, two", syns_both, two),
        Case("open, one worker", acks, alone),
        *(Case(f"open, two, {share:.0%} handed over", both, beside[share]) for share in SHARES),
        Case("SYN, macswap on one core", syns, one, macswap=True),
        Case("SYN, macswap on two", syns_both, two, macswap=True),
        Case("open, macswap on one core", acks, alone, macswap=True),
        Case("open, macswap on two", both, beside[0.0], macswap=True),
    ]


def syns_of(course: Course, folder: Path) -> list[Path]:
    """A file for each worker."""
    files = [folder / f"syn-{worker}.pcap" for worker in range(WORKERS)]
    with crowd_of(course, SYNS * WORKERS) as crowd:
        for worker, file in enumerate(files):
            pcap_write(file, crowd.frames_of(range(worker, SYNS * WORKERS, WORKERS), "SYN"))
    return files


def queues_of(course: Course, folder: Path, share: float) -> dict[str, list[Path]]:
    """Each side's files, one a queue; of each owner's connections that share is in another's."""
    queues: dict[str, list[Path]] = {}
    with crowd_of(course, course.opened) as crowd:
        chosen = range(0, course.opened, max(course.opened // (SPOKEN_FOR * course.workers), 1))
        crowd.open(course.now_ms, chosen)
        placed: list[list[int]] = [[] for _ in range(course.workers)]
        owned = [0] * course.workers
        for number, owner in zip(chosen, crowd.owners_of(chosen), strict=True):
            owned[owner] += 1
            away = int(owned[owner] * share) > int((owned[owner] - 1) * share)
            placed[(owner + away) % course.workers].append(number)
        for side in SIDES:
            queues[side] = [folder / f"{side}-{course.workers}-{share}-{at}.pcap"
                            for at in range(course.workers)]
            for file, there in zip(queues[side], placed, strict=True):
                pcap_write(file, crowd.frames_of(there, f"{side}'s ACK"))
    return queues


def measured(case: Case, seconds: float) -> Run:
    """EAL starts once in a process, so each run has a new one."""
    if case.macswap:
        devices = [device for side, device in zip(SIDES, case.devices, strict=True)
                   if case.queues[side]]
        run = testpmd_run(case.course, seconds, devices)
        return Run(run.mpps, [1 / case.course.workers] * case.course.workers, 0.0)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measure, (case, seconds))


def measure(case: Case, seconds: float) -> Run:
    from cython_core._testing_crowd import Crowd

    dataplane = dataplane_of(case.course, *case.devices)
    try:
        crowd = Crowd(dataplane, max(case.course.opened, 1), case.course.family)
        if case.course.opened:
            crowd.open(case.course.now_ms)
        dataplane.start()
        time.sleep(WARM_UP_S)
        began = looked(dataplane)
        time.sleep(seconds)
        return run_of(case.course, began, looked(dataplane))
    finally:
        dataplane.close()


def looked(dataplane) -> list[tuple[dict[str, int], int]]:
    """Each worker's counters, and the nanoseconds that it was on a CPU."""
    times = thread_times(os.getpid())
    return [(stats.counters, times[str(state.thread_id)]) for stats, state in
            zip(dataplane.worker_stats(), dataplane.worker_states(), strict=True)]


def run_of(course: Course, began, ended) -> Run:
    gained = [{name: after[name] - before[name] for name in after}
              for (before, _), (after, _) in zip(began, ended, strict=True)]
    met = [sum(counters[fate] for fate in course.fate) for counters in gained]
    received = sum(counters["received"] for counters in gained)
    lost = sum(counters["inbox_full"] + counters["tx_full"] for counters in gained)
    # A worker's counters are read while it works.
    if abs(sum(met) + lost - received) > received / 1000:
        raise RuntimeError(f"not all frames met {' or '.join(course.fate)}: {gained}")
    rates = [1e3 * count / (after - before)
             for count, (_, before), (_, after) in zip(met, began, ended, strict=True)]
    return Run(sum(rates), [count / sum(met) for count in met], lost / received)


def show(runs: dict[str, list[Run]], family: int) -> None:
    print(f"IPv{family}, million frames a second, each worker's by its own CPU time, together")
    print(f"{'':30} {'Mpps':>7} {'least':>7} {'most':>7} {'shares':>11} {'lost':>6}")
    for name, taken in runs.items():
        rates = [run.mpps for run in taken]
        shares = " ".join(f"{statistics.median(each):.0%}" for each in
                          zip(*(run.shares for run in taken), strict=True))
        print(f"{name:30} {statistics.median(rates):7.2f} {min(rates):7.2f} {max(rates):7.2f} "
              f"{shares:>11} {statistics.median(run.lost for run in taken):6.1%}")
    for name, ratio in ratios(runs).items():
        goal = f"goal {GOAL} {'reached' if ratio >= GOAL else 'missed'}"
        print(f"{name:58} {ratio:5.2f}  {goal if 'one worker' in name else ''}".rstrip())


def ratios(runs: dict[str, list[Run]]) -> dict[str, float]:
    """The median of the rounds' own."""
    none, half, every = (f"open, two, {share:.0%} handed over" for share in SHARES)
    return {
        f"{over} of {under}": statistics.median(
            a.mpps / b.mpps for a, b in zip(runs[over], runs[under], strict=True))
        for over, under in (("SYN, two", "SYN, one worker"), (none, "open, one worker"),
                            (half, none), (every, none),
                            ("SYN, macswap on two", "SYN, macswap on one core"),
                            ("open, macswap on two", "open, macswap on one core"))
    }


def write(runs: dict[str, list[Run]], path: Path) -> None:
    report_write(path, {"runs": {name: [vars(run) for run in taken]
                                 for name, taken in runs.items()},
                        "ratios": ratios(runs), "goal": GOAL})
    plot_write(path.with_suffix(".svg"), "Two workers, and what hand-over costs", "Mpps", [
        Curve("both together", list(runs),
              [statistics.median(run.mpps for run in taken) for taken in runs.values()])])


if __name__ == "__main__":
    raise SystemExit(main())
