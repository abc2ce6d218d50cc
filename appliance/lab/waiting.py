"""Waiting for a condition, with a bound: the lab's only way to let time pass."""

import time
from collections.abc import Callable

STEP_S = 0.01       # between two looks: well under what a person or a test notices


def until(condition: Callable[[], object], *, seconds: float, what: str,
          seen: Callable[[], object] | None = None) -> None:
    """Return once `condition` holds; TimeoutError that names `what` after `seconds`, and what is
    `seen` then."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            also = f"; there is {seen()}" if seen else ""
            raise TimeoutError(f"waited {seconds:g} s for {what}{also}")
        time.sleep(STEP_S)
