"""Throughput while a server's options change, through synproxyd and direct over the same wire.

    python tests/bench/changing_server.py [line|ports|all] [--rounds 3] [--congestion reno]

The server's options are changed by sysctl, one set after the other.  After each change transfers
run twice in each direction, over IPv4 and IPv6 at once: the first connection to a server meets
what was announced before the change and is translated, the second what has been learned since.
Clients of a server without timestamps learn of its MSS alone: with the last sets both differ.
Where a server scales windows again, its first connection's client was told that it does not, and
has no more than 64 KiB under way: that is shown, and is no part of the goal.

Direct stands in the proxy's place, in turn with it and with the same changes:
    line    the wire is the bound: 50 Mbit/s, a round trip of 40 ms; direct is a bridge
    ports   the ports are the bound: direct is DPDK's testpmd, which forwards between the same two
            AF_XDP ports, on the same core, and looks at nothing

The figure is the ratio of medians.  Hosts control congestion as RFC 5681 has it.  With BBR the
line's downloads show what any SYN proxy does to it: a server's first measure of the round trip is
its handshake, which is with the proxy, and BBR takes the least of 10 s for the path's.
"""

import argparse
import statistics
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from between import forwarded
from report import report_write

from appliance.lab.bridge import bridged
from appliance.lab.faults import Faults, Harm
from appliance.lab.peers import start_peers
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab
from appliance.lab.traffic import Kind, Lane, transfer_all

GOAL = 0.9                  # of direct
RESULTS = Path("bench-results/changing_server.json")
LINE = Faults(rate_mbit_s=50, delay_ms=20)
MIB = 1 << 20
RMEM, WMEM, CONGESTION = (
    f"net/ipv4/tcp_{name}" for name in ("rmem", "wmem", "congestion_control"))
# More than the line holds, and no more than the queues on the way do: nothing is lost.
SEND_BUFFER = "4096 16384 262144"
SCALE_10, SCALE_14 = "4096 131072 33554432", "4096 131072 536870912"
SACK, SCALING, TIMESTAMPS = (
    f"net/ipv4/tcp_{name}" for name in ("sack", "window_scaling", "timestamps"))
# Each from the one before.  Without timestamps to the end: they are asked for once in an epoch.
SETS = {
    "all, scale 10": {SACK: "1", SCALING: "1", TIMESTAMPS: "1", RMEM: SCALE_10},
    "no SACK": {SACK: "0"},
    "no SACK, no scale": {SCALING: "0"},
    "no scale": {SACK: "1"},
    "scale 14": {SCALING: "1", RMEM: SCALE_14},
    "no timestamps": {TIMESTAMPS: "0", RMEM: SCALE_10},
    "none": {SACK: "0", SCALING: "0"},
}
KINDS = (Kind.UP, Kind.DOWN)
ORDINALS = ("first", "second")
TOLD_OF_NO_SCALE = ("scale 14", "first")
# By option set, direction and ordinal: Mbit/s.
Figures = dict[tuple[str, Kind, str], list[float]]


@dataclass(frozen=True)
class Place:
    """Where it is measured."""

    transfer_bytes: int         # of each of two
    wires: tuple[str, ...]


PLACES = {
    "line": Place(3 * MIB, ("client",)),
    "ports": Place(64 * MIB, ()),
}


def main() -> int:
    given = arguments()
    reached, written = True, {}
    for name in PLACES if given.place == "all" else [given.place]:
        figures = measure(name, given.rounds, given.congestion)
        reached &= show(name, figures)
        written[name] = {what: {", ".join(case): rates for case, rates in rates.items()}
                         for what, rates in figures.items()}
    report_write(given.json, {"goal": GOAL, "mbit_s": written})
    return 0 if reached else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("place", nargs="?", choices=(*PLACES, "all"), default="all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--congestion", default="reno", help="as tcp_congestion_control has it")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


def measure(name: str, rounds: int, congestion: str) -> dict[str, Figures]:
    """Of "direct" and "proxied", in turn."""
    place = PLACES[name]
    direct = bridged if name == "line" else forwarded
    figures: dict[str, Figures] = {what: defaultdict(list) for what in ("direct", "proxied")}
    with Lab(wires=place.wires) as lab:
        for host in (lab.client, lab.server):
            host.configure({WMEM: SEND_BUFFER, CONGESTION: congestion})
        for wire in lab.wires.values():
            wire.obey(Harm(to_server=LINE, to_client=LINE))
        start_peers(lab)
        with direct(lab):       # addresses are resolved, and what will be supplied is made
            for kind in KINDS:
                rate_mbit_s(lab, place, kind)
        for _ in range(rounds):
            with direct(lab):
                change_and_transfer(lab, place, figures["direct"])
            with Proxy(lab, "AF_XDP"):
                change_and_transfer(lab, place, figures["proxied"])
    return figures


def change_and_transfer(lab: Lab, place: Place, figures: Figures) -> None:
    for options, sysctls in SETS.items():
        lab.server.configure(sysctls)
        for kind in KINDS:
            for ordinal in ORDINALS:
                figures[options, kind, ordinal].append(rate_mbit_s(lab, place, kind))


def rate_mbit_s(lab: Lab, place: Place, kind: Kind) -> float:
    """From the first SYN to the last byte."""
    transfers = transfer_all(lab, [Lane(address, kind, place.transfer_bytes, transfers=1)
                                   for address in (SERVER_IPV4, SERVER_IPV6)])
    failed = [transfer for transfer in transfers if transfer.failure]
    if failed:
        raise SystemExit(f"not every byte arrived: {failed}")
    began_s = min(transfer.began_s for transfer in transfers)
    ended_s = max(transfer.ended_s for transfer in transfers)
    return sum(transfer.carried_bytes for transfer in transfers) * 8e-6 / (ended_s - began_s)


def show(name: str, figures: dict[str, Figures]) -> bool:
    """A line for each option set and direction; true if every ratio reaches the goal."""
    print(f"{name}: Mbit/s direct and proxied, median, and their ratio; goal: {GOAL} or more")
    print(f"{'server has':>18} {'':4}" + "".join(
        f"  {ordinal + ' connection':>25}" for ordinal in ORDINALS))
    lowest = float("inf")
    for options in SETS:
        for kind in KINDS:
            cells = ""
            for ordinal in ORDINALS:
                direct, proxied = (statistics.median(figures[what][options, kind, ordinal])
                                   for what in ("direct", "proxied"))
                if (options, ordinal) != TOLD_OF_NO_SCALE:
                    lowest = min(lowest, proxied / direct)
                cells += f"  {direct:9.1f}{proxied:9.1f}{proxied / direct:7.2f}"
            print(f"{options:>18} {kind:4}{cells}", flush=True)
    print(f"lowest ratio {lowest:.2f}: {'reached' if lowest >= GOAL else 'missed'}")
    return lowest >= GOAL


if __name__ == "__main__":
    raise SystemExit(main())
