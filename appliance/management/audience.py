"""Those who watch events: one of them takes from the data plane, for all.

The data plane writes events only while there is a reader, and each reader holds a bounded number
that it hasn't read: of more the newest are lost to it, and counted.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from appliance.supervision import Supervision
from cython_core.dataplane import Dataplane, Event

UNREAD_MAX = 4096       # events of one reader
POLL_S = 0.05           # a worker's ring holds what it may write in that time, and much more

Wanted = Callable[[Event], bool]
PassedOver = Mapping[tuple[int, str], int]      # by lcore and reason, of all times


@dataclass(frozen=True)
class Told:
    events: list[tuple[Event, int]]     # and how many were passed over since the one before
    lost: int           # to this reader
    overrun: int        # to all


class Reader:
    def __init__(self, wanted: Wanted, passed_over: PassedOver) -> None:
        """`passed_over` is what was before it began."""
        self._wanted = wanted
        self._passed_over = dict(passed_over)
        self._unread: list[tuple[Event, int]] = []
        self._lost = 0
        self._overrun = 0
        self._arrived = asyncio.Event()

    def tell(self, events: list[Event], overrun: int) -> None:
        told = [(event, self._passed_since(event)) for event in events]
        wanted = [one for one in told if self._wanted(one[0])]
        room = UNREAD_MAX - len(self._unread)
        self._unread += wanted[:room]
        self._lost += len(wanted[room:])
        self._overrun += overrun
        if self._unread or self._lost or self._overrun:
            self._arrived.set()

    def _passed_since(self, event: Event) -> int:
        """How many were passed over since the worker's event before, or since this reader began."""
        kind = (event.lcore, event.reason)
        before = self._passed_over.get(kind, 0)
        # One that was written while the reader began may be older.
        self._passed_over[kind] = max(event.passed_over, before)
        return self._passed_over[kind] - before

    async def read(self) -> Told:
        """Waits until there is something."""
        await self._arrived.wait()
        self._arrived.clear()
        told = Told(self._unread, self._lost, self._overrun)
        self._unread, self._lost, self._overrun = [], 0, 0
        return told


class Audience:
    def __init__(self, dataplane: Dataplane, supervision: Supervision) -> None:
        self._dataplane = dataplane
        self._supervision = supervision
        self._readers: set[Reader] = set()
        self._lost = 0      # of all times
        self._task: asyncio.Task[None] | None = None

    @contextmanager
    def reader(self, wanted: Wanted) -> Iterator[Reader]:
        """Raises DataplaneError."""
        self._take()        # what was before is the others', or nobody's
        reader = Reader(wanted, self._dataplane.events_passed_over())
        if not self._readers:
            self._dataplane.watch_events(True)
            self._task = self._supervision.keep("events", self._run)
        self._readers.add(reader)
        try:
            yield reader
        finally:
            self._readers.discard(reader)
            if not self._readers and self._task is not None:
                self._task.cancel()
                self._dataplane.watch_events(False)

    def tell(self, event: Event) -> None:
        """To all of them, what no worker has written."""
        for reader in self._readers:
            reader.tell([event], 0)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self._take()

    def _take(self) -> None:
        events, lost = self._dataplane.events()
        for reader in self._readers:
            reader.tell(events, lost - self._lost)
        self._lost = lost
