"""How a program of the lab begins and ends: with arguments that can be, as root, and never
leaving a lab behind."""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import TypeVar

from rich.console import Console

from appliance.lab.namespace import LabError

Number = TypeVar("Number", int, float)


def within(low: Number, high: Number) -> Callable[[str], Number]:
    """argparse's type of a number from `low` to `high`, and whole where these are."""
    def parsed(text: str) -> Number:
        with suppress(ValueError):
            value = type(low)(text)
            if low <= value <= high:
                return value
        kind = "a whole number" if isinstance(low, int) else "a number"
        raise argparse.ArgumentTypeError(f"{kind} from {low} to {high}, not {text!r}")

    return parsed


def lab_program(console: Console, body: Callable[[], int]) -> int:
    """The exit status: that of `body`, or 1 where the lab can't do what it asks."""
    if os.geteuid():
        console.print("The lab lays network namespaces: run it as root.")
        return 1
    # So that `with` takes the lab down where the run is told to end.
    signal.signal(signal.SIGTERM, _end)
    try:
        return body()
    except (LabError, TimeoutError, subprocess.TimeoutExpired) as error:
        console.print(str(error), style="red", markup=False)
        return 1


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
