"""Those who watch events: one of them takes from the data plane, for all.

The data plane writes events only while there is a reader, and each reader holds a bounded number
that it hasn't read: of more the newest are lost to it, and counted.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cython_core.dataplane import Dataplane, Event

READERS_MAX = 32
UNREAD_MAX = 4096       # events of one reader
POLL_S = 0.05           # a worker's ring holds what it may write in that time, and much more

Wanted = Callable[[Event], bool]


class TooManyReadersError(Exception):
    """There are as many as the daemon bears."""


@dataclass(frozen=True)
class Told:
    events: list[Event]
    lost: int           # to this reader
    overrun: int        # to all


class Reader:
    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._unread: list[Event] = []
        self._lost = 0
        self._overrun = 0
        self._arrived = asyncio.Event()

    def tell(self, events: list[Event], overrun: int) -> None:
        wanted = [event for event in events if self._wanted(event)]
        room = UNREAD_MAX - len(self._unread)
        self._unread += wanted[:room]
        self._lost += len(wanted[room:])
        self._overrun += overrun
        if self._unread or self._lost or self._overrun:
            self._arrived.set()

    async def read(self) -> Told:
        """Waits until there is something."""
        await self._arrived.wait()
        self._arrived.clear()
        told = Told(self._unread, self._lost, self._overrun)
        self._unread, self._lost, self._overrun = [], 0, 0
        return told


class Audience:
    def __init__(self, dataplane: Dataplane) -> None:
        self._dataplane = dataplane
        self._readers: set[Reader] = set()
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def reader(self, wanted: Wanted) -> Iterator[Reader]:
        """Raises TooManyReadersError, and DataplaneError."""
        if len(self._readers) >= READERS_MAX:
            raise TooManyReadersError(f"{READERS_MAX} watch already")
        if not self._readers:
            self._dataplane.watch_events(True)
            _, lost = self._dataplane.events()
            self._task = asyncio.create_task(self._take(lost))
        reader = Reader(wanted)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers and self._task is not None:
                self._task.cancel()
                self._dataplane.watch_events(False)

    async def _take(self, lost_before: int) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            events, lost = self._dataplane.events()
            for reader in self._readers:
                reader.tell(events, lost - lost_before)
            lost_before = lost
