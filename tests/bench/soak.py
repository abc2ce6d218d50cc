"""Whether anything is lost over time: buffers, descriptors, memory.

    python tests/bench/soak.py [--driver AF_XDP] [--seconds 90] [--share 0.8] [--clients 200]

Rounds of attack.py's mixed attack beside its clients, at a share of the measured capacity, each
followed by one at a lower rate, in which the management side is ill-treated as well
(ill_treatment.py): services change, streams are left unread, their clients are killed, events and
captures are of all that is dropped.  A first short one of the latter kind is the warm-up: it fills
what has a bound, as the history of revisions.  Then, and after each pair, all rests, and is read:
buffers in use, descriptors and anonymous memory of the daemon.

It fails where a round does (see there), where buffers in use or descriptors differ from those of
the first reading, or where memory grows by more than 1 MiB an hour for sure: the slope of its
readings after a quarter of the time, by least squares, twice its standard error taken off
(growth.py).  Of an hour and more it also fails where it isn't sure that memory grows by less, which
a few readings can't tell; of fewer than three it may have grown by 4 MiB.  soak_management.py looks
at memory alone, without the lab.
"""

import argparse
import time
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from attack import (
    Attack,
    attack_arguments,
    is_good,
    show,
    show_capacity,
    standing,
)
from favoured import priority
from growth import Growth, growth, growth_faults, settled
from ill_treatment import SERVICES, WAYS, disturbed
from report import report_write
from rests import descriptors, memory_kib, show_rests
from rich.console import Console

from appliance.host.heap import TRIM_S
from appliance.lab.program import lab_program, within
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until

WARM_UP_S = 15
ATTACK_S, MANAGED_S = 60, 30        # of a pair of rounds
MANAGED_SHARE = 0.3                 # of the capacity, where so much else wants core 0
MANAGED_CLIENTS = 50
MANAGERS = 0                        # nice(2)
LONE_FRAMES = 5                     # each way
QUIET_S = TRIM_S + 20
RESULTS = Path("bench-results/soak.json")
OTHERS = "  - {{name: other-{at}, prefixes: [10.9.{high}.{low}], ports: [443]}}\n"


@dataclass(frozen=True)
class Rest:
    """Of the daemon, when nothing is under way."""

    at_s: float
    buffers: int            # in use
    descriptors: int
    memory_kib: int         # RssAnon


def at_rest(lab: Lab, proxy: Proxy) -> Rest:
    """A driver frees what it has sent when it sends again, so lone frames come before: then it
    keeps one at each port, whatever the last burst was.  What comes back late is waited for, and
    what malloc has is given back within TRIM_S."""
    began_s = time.monotonic()
    lab.client.run(["ping", "-q", "-c", str(LONE_FRAMES), "-i", "0.2", SERVER_IPV4])
    seen: list[tuple[int, int]] = []

    def rests() -> bool:
        seen.append((proxy.buffers_in_use(), descriptors(proxy.process.pid)))
        time.sleep(0.2)
        return time.monotonic() - began_s > TRIM_S + 1 and len(set(seen[-4:])) == 1

    until(rests, seconds=QUIET_S, what="the daemon to rest", seen=lambda: seen[-4:])
    return Rest(time.monotonic(), *seen[-1], memory_kib(proxy.process.pid))


class Soak:
    def __init__(self, lab: Lab, proxy: Proxy, given: argparse.Namespace) -> None:
        self._lab, self._proxy, self._given = lab, proxy, given
        self._attack = Attack(lab, proxy, given.driver)
        self.capacity = self._attack.capacity()
        self.managed: Counter[str] = Counter()
        self.rounds: list[dict[str, Any]] = []
        self.rests: list[Rest] = []

    def run(self) -> None:
        show_capacity(self._given.driver, self.capacity)
        self._under_management(WARM_UP_S)
        self._rest()
        ends_s = time.monotonic() + self._given.seconds
        while True:
            self._note(self._attack.round(self._pps(self._given.share), ATTACK_S,
                                          self._given.clients))
            self._under_management(MANAGED_S)
            self._rest()
            if time.monotonic() + ATTACK_S + MANAGED_S > ends_s:
                return

    def _pps(self, share: float) -> int:
        return int(share * self.capacity.taken)

    def _under_management(self, seconds: float) -> None:
        with priority(MANAGERS), disturbed(self._proxy.address, list(WAYS), self.managed):
            self._note(self._attack.round(
                self._pps(min(MANAGED_SHARE, self._given.share)), seconds,
                min(MANAGED_CLIENTS, self._given.clients)))

    def _note(self, figures: dict[str, Any]) -> None:
        show(figures)
        self.rounds.append(figures)

    def _rest(self) -> None:
        self.rests.append(at_rest(self._lab, self._proxy))
        now = self.rests[-1]
        print(f"at rest after {now.at_s - self.rests[0].at_s:.0f} s: {now.buffers} buffers in use,"
              f" {now.descriptors} descriptors, {now.memory_kib:,} KiB", flush=True)

    def growth(self) -> Growth | None:
        return growth(*settled([rest.at_s for rest in self.rests],
                               [rest.memory_kib for rest in self.rests]))

    def faults(self) -> list[str]:
        said = [f"{name}: " + ", ".join(str(getattr(rest, name)) for rest in self.rests)
                for name in ("buffers", "descriptors")
                if len({getattr(rest, name) for rest in self.rests}) > 1]
        said += growth_faults(self.growth(), [rest.memory_kib for rest in self.rests],
                              self._given.seconds)
        return said + [f"nothing of {done}" for way in WAYS.values() for done in way.done
                       if not self.managed[done]]


def main() -> int:
    given = arguments()
    return lab_program(Console(), lambda: run(given))


def run(given: argparse.Namespace) -> int:
    others = "".join(OTHERS.format(at=at, high=at >> 8, low=at & 255) for at in range(SERVICES))
    with standing(given.driver, others) as (lab, proxy):
        soak = Soak(lab, proxy, given)
        soak.run()
    faults = soak.faults()
    good = not faults and all(map(is_good, soak.rounds))
    grown = soak.growth()
    show_rests(soak.managed, grown, faults)
    report_write(given.json, {
        "driver": given.driver, "good": good, "faults": faults, "meanwhile": soak.managed,
        "growth": grown and asdict(grown),
        "capacity": asdict(soak.capacity), "rests": [asdict(rest) for rest in soak.rests],
        "rounds": soak.rounds})
    return 0 if good else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    attack_arguments(parser)
    parser.add_argument("--seconds", type=within(1.0, 864_000.0), default=90.0,
                        help="after the warm-up, in pairs of rounds; default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
