"""SYNs answered a second on the same veth: the kernel's SYN proxies, in XDP as well, and ours.

    python tests/bench/peers.py [--settings] [--rounds 5] [--seconds 1]

One generator, a process on core 0 that sends as fast as it can, and one core for the proxy, core 1:
see rivals.py for how each is given it.  What counts is what arrived at the generator's interface
(answers.py).  Each run has a lab of its own, all in turn; "drop" is the kernel's, which says what
the generator can send, and testpmd sends the SYNs themselves back, which says what the kernel's way
to AF_XDP and back lets anybody do.  Frames that the generator makes and a full interface refuses
are in "offered": whoever is offered no more than it answers might take more, and is marked so.

--settings has those of AF_XDP in turn instead.

Runs as the most favoured of the machine's programs, since others may use it as well.
"""

import argparse
import json
import secrets
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from answers import PORT, Answers
from arguments import parser_of
from favoured import be_favoured
from plot import Curve, plot_write
from report import report_write
from rich.console import Console
from rivals import AF_XDP, IPTABLES, NFT, RIVALS, SETTINGS, XDP, Rival

from appliance.lab.flood import Score
from appliance.lab.namespace import python_module
from appliance.lab.program import lab_program
from appliance.lab.topology import SERVER_IPV4, Lab

# Of the better of them.
GOALS = (("the kernel's SYNPROXY", (NFT, IPTABLES), 2.0), ("XDP in front of it", (XDP,), 1.4))
RESULTS = Path("bench-results/peers.json")
WARM_UP_S = 0.2
ALL = 0.99                  # answered of offered: the generator was the bound


@dataclass(frozen=True)
class Rate:
    """A second; `verified` in all."""

    offered: float
    answered: float
    verified: int


def main() -> int:
    parser = parser_of(__doc__.splitlines()[0], RESULTS)
    parser.add_argument("--settings", action="store_true", help="those of AF_XDP")
    given = parser.parse_args()
    return lab_program(Console(), lambda: run(given, SETTINGS if given.settings else RIVALS))


def run(given: argparse.Namespace, rivals: Sequence[Rival]) -> int:
    be_favoured()
    rates: dict[str, list[Rate]] = {rival.name: [] for rival in rivals}
    for _ in range(given.rounds):
        for rival in rivals:
            rates[rival.name].append(measure(rival, given.seconds))
    show(rates)
    report_write(given.json, {name: [vars(rate) for rate in taken]
                              for name, taken in rates.items()})
    plot_write(given.json.with_suffix(".svg"), "SYNs on one veth", "million answers a second", [
        Curve("answered", list(rates), [median(taken) / 1e6 for taken in rates.values()])])
    return 0


def measure(rival: Rival, seconds: float) -> Rate:
    with Lab() as lab, rival.standing(lab), Answers(lab) as answers:
        flood(lab, rival, WARM_UP_S, secrets.randbits(64))
        answers.settle()
        seed, before = secrets.randbits(64), counted(rival, lab, answers)
        score = flood(lab, rival, seconds, seed)
        answered = counted(rival, lab, answers) - before
        verified = answers.verify(seed, score, rival.mac)
        return Rate(score.drawn / score.seconds, answered / score.seconds, verified)


def counted(rival: Rival, lab: Lab, answers: Answers) -> int:
    return rival.counted(lab) if rival.counted else answers.packets()


def flood(lab: Lab, rival: Rival, seconds: float, seed: int) -> Score:
    done = lab.client.run(python_module(
        "appliance.lab.flood", "--interface", "eth0", "--destination", SERVER_IPV4,
        "--dport", str(PORT), "--dst-mac", rival.mac, "--count", str(1 << 40),
        "--seconds", str(seconds), "--seed", str(seed)))
    return Score(**json.loads(done.stdout))


def median(rates: Sequence[Rate]) -> float:
    return statistics.median(rate.answered for rate in rates)


def show(rates: dict[str, list[Rate]]) -> None:
    """Ratios are to the kernel's SYNPROXY; where it takes no part, to the first."""
    base = best(rates, (NFT, IPTABLES)) or median(next(iter(rates.values())))
    print(f"{'answered a second, thousands':28} {'median':>7} {'least':>7} {'most':>7}"
          f" {'offered':>7} {'ratio':>6} {'verified':>9}")
    for name, taken in rates.items():
        answered = [rate.answered for rate in taken]
        offered = statistics.median(rate.offered for rate in taken)
        print(f"{name:28} {median(taken) / 1e3:7.0f} {min(answered) / 1e3:7.0f}"
              f" {max(answered) / 1e3:7.0f} {offered / 1e3:7.0f} {median(taken) / base:6.2f}"
              f" {sum(rate.verified for rate in taken):9}"
              f"{'  all that was offered' if median(taken) > ALL * offered else ''}")
    for whom, rivals, goal in GOALS:
        theirs = best(rates, rivals)
        if theirs is not None:
            ratio = median(rates[AF_XDP]) / theirs
            print(f"goal: {goal:g} times {whom}: {ratio:.2f},"
                  f" {'reached' if ratio >= goal else 'missed'}")


def best(rates: dict[str, list[Rate]], rivals: Sequence[Rival]) -> float | None:
    """The better one's median, if any takes part."""
    return max((median(rates[rival.name]) for rival in rivals if rival.name in rates),
               default=None)


if __name__ == "__main__":
    raise SystemExit(main())
