"""The protocols between processes and machines, in every order of their steps: spin's models.

Each says at its head what it is a model of.  A model in which one line is broken on purpose must be
caught, so that what is found in the others means something.
"""

import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODELS = ("handshake", "publication", "adoption")
SWITCH = re.compile(r"-D(\w+)")
ERRORS = re.compile(r"errors: (\d+)")
STATES = re.compile(r"(\d+) states, stored")


def broken() -> list[tuple[str, str]]:
    """(model, switch), out of the models' heads."""
    return [(name, switch) for name in MODELS
            for switch in SWITCH.findall((HERE / f"{name}.pml").read_text().partition("*/")[0])]


def verified(name: str, folder: Path, *switches: str) -> subprocess.CompletedProcess:
    def run(*command: str) -> subprocess.CompletedProcess:
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)

    run("spin", *(f"-D{switch}" for switch in switches), "-a", str(HERE / f"{name}.pml"))
    run("gcc", "-O1", "-w", "-DSAFETY", "-DVECTORSZ=2048", "-o", "pan", "pan.c")
    return run("./pan", "-m100000")


@pytest.mark.parametrize("name", MODELS)
def test_no_order_of_steps_breaks_what_a_model_asserts(name, tmp_path):
    told = verified(name, tmp_path).stdout
    assert ERRORS.search(told)[1] == "0", told
    assert "max search depth too small" not in told
    assert int(STATES.search(told)[1]) > 1000


@pytest.mark.parametrize(("name", "switch"), broken())
def test_a_model_that_is_broken_on_purpose_is_caught(name, switch, tmp_path):
    assert ERRORS.search(verified(name, tmp_path, switch).stdout)[1] != "0"
