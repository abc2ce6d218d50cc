"""Connections opened, used and closed: how many a worker carries through in a second.

    python tests/bench/turnover.py [--family 4] [--rounds 5] [--json FILE]

In process, without a driver: clients and their server (cython_core._testing_crowd) say what real
ones do, and the worker's stages are timed while they have a burst.  Eight segments come of each
connection: SYN, ACK, SYN-ACK, a request of 128 bytes, a response of 512, two FINs and the last ACK.
8192 connections are on their way at once.  The closed ones stay in the table, which has room for
131,072, and newer ones displace them, as in a box that is asked for more than it can remember.

The times are of the thread's CPU: the clock's, by the share of it that the thread had.
"""

import multiprocessing
import statistics
import time
from pathlib import Path

from arguments import parser_of
from contestants import Course, crowd_of
from plot import Curve, plot_write
from report import report_write
from syn_pcap import SERVERS

COHORT = 8192
WARM_UP, TURNS = 18, 24         # cohorts; the first fill the table
ROOM = 1 << 17
CROWD = 10_000_000
GOAL = 1e6                      # connections a second
NS_PER_S = 1e9
RESULTS = Path("bench-results/turnover.json")


def main() -> int:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    parser.add_argument("--family", type=int, choices=(4, 6), default=4,
                        help="of addresses; default %(default)s")
    given = parser.parse_args()
    rounds = [measure(given.family) for _ in range(given.rounds)]
    steps = {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}
    rate = NS_PER_S / statistics.median(sum(one.values()) for one in rounds)
    print(f"one worker, IPv{given.family}, nanoseconds of its CPU time")
    for name, ns in steps.items():
        print(f"{name:>14} {ns:8.1f}")
    print(f"{'connection':>14} {NS_PER_S / rate:8.1f}   {rate / 1e6:.2f} million a second; goal "
          f"{GOAL / 1e6:.0f}: {'reached' if rate >= GOAL else 'missed'}")
    report_write(given.json, {"family": given.family, "rounds_ns": rounds, "steps_ns": steps,
                              "connections_per_s": rate, "goal": GOAL})
    plot_write(given.json.with_suffix(".svg"), "The segments of a connection", "ns",
               [Curve("synproxy", list(steps), list(steps.values()))])
    return 0


def measure(family: int) -> dict[str, float]:
    """By step, nanoseconds a frame.  EAL starts once in a process, so each has a new one."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_measure, (family,))


def _measure(family: int) -> dict[str, float]:
    course = Course(Path(), servers=(SERVERS[family],), room=ROOM, family=family)
    with crowd_of(course, CROWD, half_open=2 * COHORT) as crowd:
        crowd.converse(COHORT, WARM_UP)
        wall_ns, cpu_ns = time.perf_counter_ns(), time.thread_time_ns()
        spent = crowd.converse(COHORT, TURNS)
        share = (time.thread_time_ns() - cpu_ns) / (time.perf_counter_ns() - wall_ns)
        return {name: share * ns / frames for name, frames, ns in spent}


if __name__ == "__main__":
    raise SystemExit(main())
