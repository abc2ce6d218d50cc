"""Those who watch the services: each has the changes that it hasn't read yet, one a service.

So a slow reader loses intermediate states and never the last one, and no reader holds more than
there are services, or makes a change wait.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from enum import Enum

from synproxy.v1.service_pb2 import Service


class Kind(Enum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


Happening = tuple[Kind, Service, int]       # with the generation that brought it


class Watcher:
    def __init__(self) -> None:
        self._unread: dict[str, Happening] = {}
        self._arrived = asyncio.Event()

    def tell(self, kind: Kind, service: Service, generation: int) -> None:
        former = self._unread.pop(service.name, None)
        if former is not None:
            joined = _joined(former[0], kind)
            if joined is None:
                return
            kind = joined
        self._unread[service.name] = (kind, service, generation)
        self._arrived.set()

    async def changes(self) -> AsyncIterator[Happening]:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            for happening in self.unread():
                yield happening

    def unread(self) -> Iterator[Happening]:
        """Each is read by being taken from here."""
        while self._unread:
            yield self._unread.pop(next(iter(self._unread)))


def _joined(former: Kind, later: Kind) -> Kind | None:
    """What two changes come to, for who has seen neither; None: to nothing."""
    if former is Kind.CREATED:
        return None if later is Kind.DELETED else Kind.CREATED
    return later if later is Kind.DELETED else Kind.UPDATED


class Watchers:
    def __init__(self) -> None:
        self._watchers: set[Watcher] = set()

    def __len__(self) -> int:
        return len(self._watchers)

    @contextmanager
    def watcher(self) -> Iterator[Watcher]:
        watcher = Watcher()
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def tell(self, kind: Kind, service: Service, generation: int) -> None:
        for watcher in self._watchers:
            watcher.tell(kind, service, generation)
