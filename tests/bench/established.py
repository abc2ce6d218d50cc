"""Segments of open connections, translated both ways, by how many connections are open.

    python tests/bench/established.py [--open 64k,4M] [--fill 0.5,0.95] [--family 4]
                                      [--rounds 5] [--seconds 1] [--json FILE]

Beside testpmd's macswap on the same frames through the same driver, in turn.  The connections are
opened by whole handshakes before the worker starts.  The frames are those of up to 128 k of them,
spread over all, a client's and a server's of each: pure ACKs with timestamps.  Behind their number
stand the share of the table that they fill, and the memory that each takes, all included.
"""

import argparse
import itertools
import multiprocessing
import tempfile
import time
from pathlib import Path

from arguments import family_add, parser_of
from beside import HEADER, Result, beside, write
from contestants import Course, crowd_of
from pcap_file import pcap_write
from syn_pcap import SERVERS

from appliance.lab.program import within

SPOKEN_FOR = 1 << 17        # connections that have frames in the files
SUFFIXES = {"k": 10**3, "M": 10**6}
NUMBERS = (1_000, 64_000, 1_000_000, 4_000_000)
GOALS = {64_000: 0.4, 4_000_000: 0.25}
RESULTS = Path("bench-results/established.json")


def main() -> int:
    given = arguments()
    print(f"established segments translated, IPv{given.family}, one worker, million frames a "
          "second of its CPU time")
    print(HEADER)
    results = []
    for opened, fill in itertools.product(given.open, given.fill):
        with tempfile.TemporaryDirectory() as folder:
            results.append(measure(Path(folder), opened, fill, given))
    write(results, given.json,
          f"Segments of open connections translated by one worker, IPv{given.family}")
    return 0


def arguments() -> argparse.Namespace:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    parser.add_argument("--open", type=numbers, default=NUMBERS, metavar="NUMBERS",
                        help="connections, e.g. 64k,4M; default 1k,64k,1M,4M")
    parser.add_argument("--fill", type=shares, default=[0.5], metavar="SHARES",
                        help="of the table that they take, e.g. 0.25,0.95; default 0.5")
    family_add(parser)
    return parser.parse_args()


def numbers(text: str) -> list[int]:
    return [int(word[:-1]) * SUFFIXES[word[-1]] if word[-1] in SUFFIXES else int(word)
            for word in text.split(",")]


def shares(text: str) -> list[float]:
    return [within(0.01, 1.0)(word) for word in text.split(",")]


def measure(folder: Path, opened: int, fill: float, given: argparse.Namespace) -> Result:
    course = course_of(folder, opened, fill, given.family)
    # EAL starts once in a process, and the frames must be there before the ports are.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        each = pool.apply(record, (course,))
    return beside(f"{opened:,} open, {fill:.0%}, {each:.0f} B", course, given.rounds,
                  given.seconds, GOALS.get(opened))


def course_of(folder: Path, opened: int, fill: float, family: int = 4) -> Course:
    return Course(
        folder / "client.pcap", folder / "server.pcap", frames=2 * min(opened, SPOKEN_FOR),
        fate=("translated",), servers=(SERVERS[family],), room=int(opened / fill), opened=opened,
        family=family, now_ms=time.time_ns() // 1_000_000)


def record(course: Course) -> float:
    """Write the frames; the same handshakes at the same time give the same numbers again."""
    with crowd_of(course, course.opened) as crowd:
        spoken_for = range(0, course.opened, max(course.opened // SPOKEN_FOR, 1))[:SPOKEN_FOR]
        crowd.open(course.now_ms, spoken_for)
        pcap_write(course.client, crowd.frames_of(spoken_for, "client's ACK"))
        pcap_write(course.server, crowd.frames_of(spoken_for, "server's ACK"))
        return crowd.connection_bytes


if __name__ == "__main__":
    raise SystemExit(main())
