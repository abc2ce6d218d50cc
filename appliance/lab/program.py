"""How a program of the lab begins and ends: as root, and never leaving a lab behind."""

import os
import signal
import sys
from collections.abc import Callable
from types import FrameType

from rich.console import Console

from appliance.lab.namespace import LabError


def lab_program(console: Console, body: Callable[[], int]) -> int:
    """The exit status: that of `body`, or 1 where the lab can't do what it asks."""
    if os.geteuid():
        console.print("The lab lays network namespaces: run it as root.")
        return 1
    # So that `with` takes the lab down where the run is told to end.
    signal.signal(signal.SIGTERM, _end)
    try:
        return body()
    except (LabError, TimeoutError) as error:
        console.print(f"[red]{error}[/]")
        return 1


def _end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)
