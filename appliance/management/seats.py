"""The places of calls that stream: so many of a kind at each listener, so that readers at one, even
stopped ones, take none of another's, nor of another kind's, nor of calls that are soon answered.

Which listener a call came in at stands with the call's task.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from appliance.management.bounds import STREAMS_MAX

_here: ContextVar[str] = ContextVar("listener", default="")


class NoSeatError(Exception):
    """There are as many at this listener as it has places for."""


def listener_enter(address: str) -> None:
    """From now on what this task does is done for a caller at this listener."""
    _here.set(address)


def listener_here() -> str:
    return _here.get()


class Seats:
    """Of one listener, by method."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    @contextmanager
    def seat(self, method: str) -> Iterator[None]:
        """Raises NoSeatError, as for a method that nobody has given a place."""
        limit = STREAMS_MAX.get(method, 0)
        if self._taken[method] >= limit:
            raise NoSeatError(f"all {limit} places for such a stream at this listener are taken")
        self._taken[method] += 1
        try:
            yield
        finally:
            self._taken[method] -= 1
