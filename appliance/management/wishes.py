"""Calls that want to change a service each, and wait for their turn: whose it is takes all that go
together along, so that as many as there are share one write to disk and one snapshot."""

import asyncio
import time
from collections.abc import Callable

from synproxy.v1.service_pb2 import Service

from appliance.management.changes import Changes, changes_now
from appliance.management.watchers import Kind

TOGETHER_MAX = 32       # in one turn, in which no other call is served


class Wish:
    """What a call wants of one service, until it is answered."""

    def __init__(
        self, kind: Kind, name: str, edit: Callable[[Service], None], etag: str = ""
    ) -> None:
        """`edit` changes a copy of what is there, and of nothing where it is to be created."""
        self.kind = kind
        self.name = name
        self.edit = edit
        self.etag = etag
        self.changes: Changes = changes_now()       # of the call
        self.began_ns = time.monotonic_ns()
        # Before, after, and the generation that brought it.
        self.answer: asyncio.Future[tuple[Service | None, Service | None, int]] = (
            asyncio.get_running_loop().create_future())

    async def answered(self) -> None:
        """Waits, and raises nothing."""
        await asyncio.wait((self.answer,))
        self.answer.exception()


class Wishes:
    def __init__(self) -> None:
        self._waiting: list[Wish] = []

    def __contains__(self, wish: Wish) -> bool:
        return wish in self._waiting

    def add(self, wish: Wish) -> None:
        self._waiting.append(wish)

    def give_up(self, wish: Wish) -> None:
        self._waiting.remove(wish)

    def take(self) -> list[Wish]:
        """Who has waited longest, and those behind that go together.  The slot of a service that
        goes is free once the workers know, so that none comes behind it."""
        goes, taken = False, 0
        for wish in self._waiting[:TOGETHER_MAX]:
            if goes and wish.kind is Kind.CREATED:
                break
            goes, taken = goes or wish.kind is Kind.DELETED, taken + 1
        wishes, self._waiting = self._waiting[:taken], self._waiting[taken:]
        return wishes
