"""What has become of the services lately: one log of it, which each watcher reads at its own pace.

The log is bounded, and a watcher holds no more than its place in it, so that no reader, however
slow, costs memory or makes a change wait.  One of which the log has lost the place is told so, and
begins anew with what is there.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from typing import NamedTuple

from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live

LOG_MAX = 1 << 14       # changes: some seconds of as many as can be made, some MiB


class Kind(Enum):
    CREATED = "created"
    UPDATED = "updated"
    DELETED = "deleted"


class Happening(NamedTuple):
    kind: Kind
    service: Service            # as it is set, or was
    defaults: ServiceOptions    # that count with it
    generation: int             # the snapshot that brought it


class Watchers:
    def __init__(self, log_max: int = LOG_MAX) -> None:
        self._log: deque[Happening] = deque(maxlen=log_max)
        self._told = 0          # of all times; the log has the last of them
        self._watching = 0
        self._arrived = asyncio.Event()

    def __len__(self) -> int:
        return self._watching

    @contextmanager
    def watcher(self) -> "Iterator[Watcher]":
        self._watching += 1
        try:
            yield Watcher(self)
        finally:
            self._watching -= 1
            if not self._watching:
                self._log.clear()

    def tell(self, happenings: Iterable[Happening]) -> None:
        if not self._watching:
            return
        for happening in happenings:
            self._log.append(happening)
            self._told += 1
        self._arrived.set()
        self._arrived = asyncio.Event()

    @property
    def end(self) -> int:
        """The place of what comes next."""
        return self._told

    async def at(self, place: int) -> Happening | None:
        """Waits until there is one; None: the log has lost it."""
        while place == self._told:
            await self._arrived.wait()
        first = self._told - len(self._log)
        return self._log[place - first] if place >= first else None


class Watcher:
    def __init__(self, watchers: Watchers) -> None:
        self._watchers = watchers
        self._place = watchers.end

    async def changes(self) -> AsyncIterator[Happening]:
        """Ends where some are lost to this watcher."""
        while happening := await self._watchers.at(self._place):
            self._place += 1
            yield happening

    def skip(self) -> int:
        """To what comes next; returns how many changes are lost to it."""
        lost = self._watchers.end - self._place
        self._place = self._watchers.end
        return lost


def happenings(before: Live, after: Live, generation: int) -> Iterator[Happening]:
    for name, service in before.services.items():
        if name not in after.services:
            yield Happening(Kind.DELETED, service, before.defaults, generation)
    for name, service in after.services.items():
        former = before.services.get(name)
        if former is None:
            yield Happening(Kind.CREATED, service, after.defaults, generation)
        elif former != service or before.defaults != after.defaults:
            yield Happening(Kind.UPDATED, service, after.defaults, generation)
