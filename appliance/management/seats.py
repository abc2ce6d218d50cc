"""The places of those who watch: so many of a kind at each listener, so that readers at one, even
stopped ones, take none of another's.

Which listener a call came in at stands with the call's task.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_here: ContextVar[str] = ContextVar("listener", default="")


class NoSeatError(Exception):
    """There are as many at this listener as it has places for."""


def listener_enter(address: str) -> None:
    """From now on what this task does is done for a caller at this listener."""
    _here.set(address)


def listener_here() -> str:
    return _here.get()


class Seats:
    def __init__(self, limit: int) -> None:
        """`limit` is how many there are at each listener."""
        self.limit = limit
        self._taken: Counter[str] = Counter()

    @contextmanager
    def seat(self) -> Iterator[None]:
        """Of the listener that the call came in at.  Raises NoSeatError."""
        here = listener_here()
        if self._taken[here] >= self.limit:
            raise NoSeatError(f"{self.limit} watch already at this listener")
        self._taken[here] += 1
        try:
            yield
        finally:
            self._taken[here] -= 1
