"""Connections opened, used and closed: how many a worker carries through in a second.

    python tests/bench/turnover.py [--family 4] [--rounds 5] [--seconds 1] [--json FILE]

In process, without a driver: clients and their server (cython_core._testing_crowd) say what real
ones do, and the worker's stages are timed while they have a burst.  Eight segments come of each
connection: SYN, ACK, SYN-ACK, a request of 128 bytes, a response of 512, two FINs and the last ACK.
8192 connections are on their way at once.  The closed ones stay in the table, which has room for
131,072, and newer ones displace them, as in a box that is asked for more than it can remember.

The times are of the thread's CPU: the clock's, by the share of it that the thread had.  Beside
them, in turn, stands what testpmd's macswap takes for the same frames, with its driver: the ratio
is to its rate, as if a driver took as long for ours.
"""

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from arguments import family_add, parser_of
from contestants import Course, crowd_of, testpmd_run
from pcap_file import pcap_write
from plot import Curve, plot_write
from report import report_write
from syn_pcap import SERVERS, SYNS

COHORT = 8192
WARM_UP, TURNS = 18, 24         # cohorts; the first fill the table
ROOM = 1 << 17
CROWD = 10_000_000
GOAL = 1e6                      # connections a second
NS_PER_S, NS_PER_US = 1e9, 1e3
SEGMENTS = 8
HANDSHAKE = "ACK"               # the step that proves the cookie, and opens
RESULTS = Path("bench-results/turnover.json")
Steps = dict[str, float]        # nanoseconds, by step; or of HANDSHAKE and of all of them


def main() -> int:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    family_add(parser)
    given = parser.parse_args()
    rounds: list[Steps] = []
    macswap: list[Steps] = []
    with tempfile.TemporaryDirectory() as folder:
        courses = macswap_courses(Path(folder), given.family)
        for _ in range(given.rounds):
            rounds.append(measure(given.family))
            macswap.append({
                name: NS_PER_US / testpmd_run(course, given.seconds, course.devices).mpps
                for name, course in courses.items()})
    steps = medians(rounds)
    all_ns = statistics.median(sum(one.values()) for one in rounds)
    show(given.family, steps, all_ns, medians(macswap))
    report_write(given.json, {
        "family": given.family, "rounds_ns": rounds, "steps_ns": steps, "macswap_ns": macswap,
        "connections_per_s": NS_PER_S / all_ns, "goal": GOAL})
    plot_write(given.json.with_suffix(".svg"), f"The segments of a connection, IPv{given.family}",
               "ns", [Curve("synproxy", list(steps), list(steps.values()))])
    return 0


def macswap_courses(folder: Path, family: int) -> dict[str, Course]:
    """The handshake's ACKs, and all that comes of connections, one after the other."""
    courses = {name: Course(folder / f"{name}.pcap") for name in (HANDSHAKE, "connection")}
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        pool.apply(record, ([course.client for course in courses.values()], family))
    return courses


def record(files: Sequence[Path], family: int) -> None:
    from cython_core._testing_crowd import STEP_NAMES

    handshakes, connections = files
    with crowd_of(course_of(family), SYNS) as crowd:
        crowd.open(time.time_ns() // 1_000_000)
        pcap_write(handshakes, crowd.frames_of(range(SYNS), HANDSHAKE))
        said = [crowd.frames_of(range(SYNS // SEGMENTS), name) for name in STEP_NAMES[:SEGMENTS]]
        pcap_write(connections, (frame for one in zip(*said, strict=True) for frame in one))


def course_of(family: int) -> Course:
    return Course(Path(), servers=(SERVERS[family],), room=ROOM, family=family)


def measure(family: int) -> Steps:
    """A frame's, by step.  EAL starts once in a process, so each has a new one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (family,))


def _measure(family: int) -> Steps:
    with crowd_of(course_of(family), CROWD, half_open=2 * COHORT) as crowd:
        crowd.converse(COHORT, WARM_UP)
        wall_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        spent = crowd.converse(COHORT, TURNS)
        share = (time.thread_time_ns() - cpu_ns) / (time.perf_counter_ns() - wall_ns)
        return {name: share * ns / frames for name, frames, ns in spent}


def medians(rounds: Sequence[Steps]) -> Steps:
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def show(family: int, steps: Steps, all_ns: float, macswap: Steps) -> None:
    print(f"one worker, IPv{family}, nanoseconds of its CPU time")
    print(f"{'':>14} {'synproxy':>9} {'macswap':>9} {'ratio':>6}")
    for name, ns in steps.items():
        beside = told_beside(ns, macswap[name]) if name in macswap else ""
        print(f"{name:>14} {ns:9.1f}{beside}")
    rate = NS_PER_S / all_ns
    print(f"{'connection':>14} {all_ns:9.1f}"
          f"{told_beside(all_ns, SEGMENTS * macswap['connection'])}"
          f"   {rate / 1e6:.2f} million a second; goal {GOAL / 1e6:.0f}: "
          f"{'reached' if rate >= GOAL else 'missed'}")


def told_beside(ns: float, macswap_ns: float) -> str:
    return f" {macswap_ns:9.1f} {macswap_ns / (ns + macswap_ns):6.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
