"""SYN → SYN-ACK with ten services, with a hundred thousand and between.

    python tests/bench/services.py [--rounds 5] [--seconds 1] [--json FILE]

What a packet pays for the number of services is its lookup, and the cache that they take from
it.  Each service has an address of its own; the SYNs go to as many of them as there are SYNs, far
apart in the tables.  The numbers are measured in turn; the figure is the ratio of their medians.
"""

import json
import statistics
import tempfile
from ipaddress import IPv4Address
from pathlib import Path

from arguments import arguments
from contestants import synproxy_run
from syn_pcap import SYNS, syn_pcap_write

NUMBERS = (10, 1000, 10_000, 100_000)
FIRST_SERVER = IPv4Address("11.0.0.0")
STRIDE = 7919       # a prime, so that the SYNs' services are spread over all
RESULTS = Path("bench-results/services.json")


def main() -> int:
    given = arguments(__doc__.splitlines()[0], RESULTS)
    print("SYN → SYN-ACK by services, one worker, million frames a second of its CPU time")
    print(" " * 8 + "".join(f"{number:>10,}" for number in NUMBERS))
    mpps: dict[int, list[float]] = {number: [] for number in NUMBERS}
    with tempfile.TemporaryDirectory() as folder:
        for at in range(given.rounds):
            for number in NUMBERS:
                mpps[number].append(measure(Path(folder), number, given.seconds))
            show(f"{at + 1}", {number: rates[-1] for number, rates in mpps.items()})
    medians = {number: statistics.median(rates) for number, rates in mpps.items()}
    show("median", medians)
    show("to ten", {number: rate / medians[NUMBERS[0]] for number, rate in medians.items()})
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(
        {"seconds": given.seconds, "mpps": mpps, "medians": medians}, indent=1) + "\n")
    return 0


def measure(folder: Path, number: int, seconds: float) -> float:
    servers = [str(FIRST_SERVER + at) for at in range(number)]
    pcap = folder / f"{number}.pcap"
    if not pcap.exists():
        syn_pcap_write(
            pcap, servers=[servers[at * STRIDE % number] for at in range(min(number, SYNS))])
    return synproxy_run(pcap, seconds, servers).mpps


def show(what: str, rates: dict[int, float]) -> None:
    print(f"{what:>8}" + "".join(f"{rate:10.2f}" for rate in rates.values()), flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
