"""SYN → SYN-ACK with ten services, with a hundred thousand and between.

    python tests/bench/services.py [--rounds 5] [--seconds 1] [--json FILE]

What a packet pays for the number of services is its lookup; what it pays for those that are asked
at once is their place in the caches.  So there are two columns: SYNs to ten of the services, and
SYNs to as many of them as there are SYNs.  Each service has an address of its own, and those asked
stand far apart in the tables.  All are measured in turn; the figures are ratios of medians.
"""

import statistics
import tempfile
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from arguments import arguments
from contestants import Course, synproxy_run
from report import report_write
from syn_pcap import SYNS, syn_pcap_write

FEW = 10
FIRST_SERVER = IPv4Address("11.0.0.0")
STRIDE = 7919       # a prime, so that the SYNs' services are spread over all
RESULTS = Path("bench-results/services.json")


@dataclass(frozen=True)
class Load:
    """Of `services` so many are `asked`."""

    services: int
    asked: int

    def __str__(self) -> str:
        return f"{self.asked:,}/{self.services:,}"

    @property
    def servers(self) -> list[str]:
        return [str(FIRST_SERVER + at) for at in range(self.services)]

    @property
    def targets(self) -> list[str]:
        return [str(FIRST_SERVER + at * STRIDE % self.services) for at in range(self.asked)]


LOADS = [Load(FEW, FEW)] + [
    Load(services, asked) for services in (1000, 10_000, 100_000)
    for asked in (FEW, min(services, SYNS))]


def main() -> int:
    given = arguments(__doc__.splitlines()[0], RESULTS)
    print("SYN → SYN-ACK by services asked of those there are, one worker, million frames a second "
          "of its CPU time")
    print(" " * 8 + "".join(f"{load!s:>14}" for load in LOADS))
    mpps: dict[Load, list[float]] = {load: [] for load in LOADS}
    with tempfile.TemporaryDirectory() as folder:
        for at in range(given.rounds):
            for load in LOADS:
                mpps[load].append(measure(Path(folder), load, given.seconds))
            show(f"{at + 1}", [rates[-1] for rates in mpps.values()])
    medians = [statistics.median(rates) for rates in mpps.values()]
    show("median", medians)
    show("to ten", [rate / medians[0] for rate in medians])
    report_write(given.json, {
        "seconds": given.seconds, "mpps": {str(load): rates for load, rates in mpps.items()},
        "medians": dict(zip(map(str, LOADS), medians, strict=True))})
    return 0


def measure(folder: Path, load: Load, seconds: float) -> float:
    pcap = folder / f"{load.services}-{load.asked}.pcap"
    if not pcap.exists():
        syn_pcap_write(pcap, servers=load.targets)
    return synproxy_run(Course(pcap, servers=load.servers), seconds).mpps


def show(what: str, rates: list[float]) -> None:
    print(f"{what:>8}" + "".join(f"{rate:14.2f}" for rate in rates), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
