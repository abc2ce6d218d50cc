"""The programs of `make bench` run, and tell each of their cases; what they measure is no test's to
judge."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[1] / "bench"
PATIENCE_S = 280
SHORT = ["--rounds", "1", "--seconds", "0.1"]
BESIDE_MACSWAP = {
    "rates --family 6": ["SYN → SYN-ACK, IPv6", "forged ACK → drop, IPv6", "mixed attack, IPv6"],
    "established --open 1k --fill 0.25,0.95": ["1,000 open, 25%", "1,000 open, 95%"],
}


def figures_of(command: str, folder: Path):
    """Its JSON; it has drawn a plot beside that."""
    program, *words = command.split()
    told = folder / "told.json"
    done = subprocess.run(
        [sys.executable, str(BENCH / f"{program}.py"), *words, *SHORT, "--json", str(told)],
        capture_output=True, text=True, timeout=PATIENCE_S)
    assert done.returncode == 0, done.stderr
    assert "<svg" in told.with_suffix(".svg").read_text()
    return json.loads(told.read_text())


@pytest.mark.parametrize("command", BESIDE_MACSWAP)
def test_each_case_stands_beside_macswap(command, tmp_path):
    told = figures_of(command, tmp_path)
    for case, name in zip(told, BESIDE_MACSWAP[command], strict=True):
        assert case["name"].startswith(name)
        assert min(case["synproxy_mpps"] + case["macswap_mpps"] + [case["ratio"]]) > 0


def test_each_step_of_a_connection_is_told(tmp_path):
    told = figures_of("turnover --family 6", tmp_path)
    assert len(told["steps_ns"]) == 8
    assert min(told["steps_ns"].values()) > 0
    assert {name for one in told["macswap_ns"] for name in one} == {"ACK", "connection"}
