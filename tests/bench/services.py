"""SYN → SYN-ACK with ten services, with a hundred thousand and between.

    python tests/bench/services.py [--family 4] [--rounds 5] [--seconds 1] [--json FILE]

What a packet pays for the number of services is its lookup; what it pays for those that are asked
at once is their place in the caches.  So SYNs go to ten of the services, and to as many of them as
there are SYNs.  Each service has an address of its own, and those asked stand far apart in the
tables.  All are measured in turn, beside testpmd's macswap on the same frames through the same
driver; the figures are ratios of medians.
"""

import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from arguments import family_add, parser_of
from beside import HEADER, Result, line, write
from contestants import Course, synproxy_run, testpmd_run
from syn_pcap import SYNS, syn_pcap_write

FEW = 10
FIRST_SERVER = {4: IPv4Address("11.0.0.0"), 6: IPv6Address("fd00:11::")}
STRIDE = 7919       # a prime, so that the SYNs' services are spread over all
RESULTS = Path("bench-results/services.json")


@dataclass(frozen=True)
class Load:
    """Of `services` so many are `asked`."""

    services: int
    asked: int
    family: int = 4

    def __str__(self) -> str:
        return f"{self.asked:,} of {self.services:,}, IPv{self.family}"

    @property
    def servers(self) -> list[str]:
        return [str(FIRST_SERVER[self.family] + at) for at in range(self.services)]

    @property
    def targets(self) -> list[str]:
        return [str(FIRST_SERVER[self.family] + at * STRIDE % self.services)
                for at in range(self.asked)]


def loads(family: int) -> list[Load]:
    return [Load(FEW, FEW, family)] + [
        Load(services, asked, family) for services in (1000, 10_000, 100_000)
        for asked in (FEW, min(services, SYNS))]


def main() -> int:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    family_add(parser)
    given = parser.parse_args()
    results = [Result(str(load), None, [], []) for load in loads(given.family)]
    with tempfile.TemporaryDirectory() as folder:
        for at in range(given.rounds):
            print(f"round {at + 1} of {given.rounds} ...", file=sys.stderr)
            for load, result in zip(loads(given.family), results, strict=True):
                course = course_of(Path(folder), load)
                result.synproxy_mpps.append(synproxy_run(course, given.seconds).mpps)
                result.macswap_mpps.append(testpmd_run(course, given.seconds,
                                                       course.devices).mpps)
    show(results)
    write(results, given.json, "SYNs answered by one worker, by services asked of those there are")
    return 0


def course_of(folder: Path, load: Load) -> Course:
    pcap = folder / f"{load.services}-{load.asked}.pcap"
    if not pcap.exists():
        syn_pcap_write(pcap, servers=load.targets)
    return Course(pcap, servers=load.servers)


def measure(folder: Path, load: Load, seconds: float) -> float:
    """Without macswap."""
    return synproxy_run(course_of(folder, load), seconds).mpps


def show(results: Sequence[Result]) -> None:
    print("SYN → SYN-ACK by services asked of those there are, one worker, million frames a second "
          "of its CPU time")
    print(f"{HEADER} {'to ten':>7}")
    ten = statistics.median(results[0].synproxy_mpps)
    for result in results:
        print(f"{line(result):70} {statistics.median(result.synproxy_mpps) / ten:7.2f}")


if __name__ == "__main__":
    raise SystemExit(main())
