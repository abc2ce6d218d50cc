"""Whether a daemon's memory grows while its management is ill-treated, without the lab.

    python tests/bench/soak_management.py [--seconds 1200] [--way WAY ...] [--json FILE]

A synproxyd takes a mixed attack out of memory, as disturbance.py's do, and is ill-treated in every
way at once (ill_treatment.py), a while at a time.  After each all rests until memory is given back,
and is read: descriptors, and anonymous memory.  It fails where descriptors differ, where one of the
ways has come to nothing, or where memory grows by more than 1 MiB an hour for sure (growth.py); of
an hour and more it also fails where it isn't sure that memory grows by less.
"""

import argparse
import os
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from contestants import MAIN_LCORE
from disturbance import Daemon
from growth import growth, growth_faults, settled
from ill_treatment import WAYS, disturbed, way_add
from report import report_write
from rests import descriptors, memory_kib, show_rests

from appliance.host.heap import TRIM_S
from appliance.lab.program import within
from appliance.lab.waiting import until

TREATED_S = 15
REST_S = 60
RESULTS = Path("bench-results/soak_management.json")


def main() -> int:
    given = arguments()
    total: Counter[str] = Counter()
    rests: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, Daemon(Path(folder) / "ours") as daemon:
        os.sched_setaffinity(0, {MAIN_LCORE})
        began_s = time.monotonic()
        while time.monotonic() < began_s + given.seconds:
            with disturbed(daemon.address, given.way, total):
                time.sleep(TREATED_S)
            rests.append(at_rest(daemon, began_s))
            print("at rest after {at_s:.0f} s: {descriptors} descriptors, {memory_kib:,} KiB"
                  .format(**rests[-1]), flush=True)
    memory = [rest["memory_kib"] for rest in rests]
    grown = growth(*settled([rest["at_s"] for rest in rests], memory))
    faults = [*growth_faults(grown, memory, given.seconds), *(
        f"nothing of {done}" for way in given.way for done in WAYS[way].done if not total[done])]
    if len({rest["descriptors"] for rest in rests}) > 1:
        faults.append("descriptors differ")
    show_rests(total, grown, faults)
    report_write(given.json, {"rests": rests, "meanwhile": total, "faults": faults,
                              "growth": grown and vars(grown)})
    return 1 if faults else 0


def at_rest(daemon: Daemon, began_s: float) -> dict[str, Any]:
    """What was freed is given back within TRIM_S."""
    seen: list[int] = []

    def rests() -> bool:
        time.sleep(1)
        seen.append(descriptors(daemon.pid))
        return len(seen) > TRIM_S + 2 and len(set(seen[-4:])) == 1

    until(rests, seconds=REST_S, what="the daemon to rest", seen=lambda: seen[-4:])
    return {"at_s": time.monotonic() - began_s, "descriptors": seen[-1],
            "memory_kib": memory_kib(daemon.pid)}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=within(1.0, 864_000.0), default=1200.0,
                        help="default %(default)s")
    way_add(parser)
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


if __name__ == "__main__":
    raise SystemExit(main())
