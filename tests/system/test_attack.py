"""A mixed attack at 0.8 of what the proxy takes, beside 200 real clients.

`make attack` does so by each driver for a minute, `make attack-long` for 15; `make soak` looks at
what is left of it.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from appliance.lab.namespace import LabError

BENCH = Path(__file__).parents[1] / "bench"
PATIENCE_S = 280
ATTACK_S = 16
CLIENTS = 200

Figure = Callable[[str], None]


def figures_of(program: str, folder: Path, *words: str) -> dict[str, Any]:
    """Of a run in a session of its own: it goes before all others of its session."""
    figures = folder / f"{program}.json"
    done = subprocess.run(
        [sys.executable, str(BENCH / f"{program}.py"), "--clients", str(CLIENTS),
         "--json", str(figures), *words],
        capture_output=True, text=True, timeout=PATIENCE_S, start_new_session=True)
    if not figures.exists():
        raise LabError(f"{program}: exit {done.returncode}: {done.stdout}{done.stderr}")
    told: dict[str, Any] = json.loads(figures.read_text())
    assert told["good"] == (done.returncode == 0)
    assert told["good"], done.stdout
    return told


def note(figure: Figure, driver: str, capacity: dict[str, Any], one: dict[str, Any]) -> None:
    clients, ledger = one["clients"], one["ledger"]
    figure(f"{driver}: {one['score']['pps']} frames/s of {capacity['taken']:.0f} taken at most,"
           f" {ledger['received']} came in, {ledger['missed']} missed; {clients['whole']} of"
           f" {clients['transfers']} transfers whole, p99 {clients['p99_ms']} ms")


def test_clients_are_served_amid_it(driver: str, tmp_path: Path, figure: Figure) -> None:
    told = figures_of("attack", tmp_path, "--driver", driver, "--seconds", str(ATTACK_S))
    note(figure, told["driver"], told["capacity"], told)
    assert told["ledger"]["unattributed"] == {}
    assert told["clients"]["success"] >= 0.999
