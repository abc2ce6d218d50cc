"""The revisions: the newest is what runs, the others are to look at and to go back to.

A revision is on disk before it runs, and several that come at once are written at once.  One that
can't be kept is refused with what it would change,
but for what the daemon does by itself: what a file says when it starts, and the former revision's
return.  Both would come about again after a restart; they are in memory until the next is written.

No more are kept than was asked for, nor than take BYTES_MAX; the oldest go first.
"""

import asyncio
import errno
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1.revision_pb2 import Difference, Revision

from appliance.config.live import Live
from appliance.state.folder import Folder
from appliance.state.record import (
    AnyRecord,
    DamagedError,
    LaterRecord,
    Record,
    Step,
    record_whole,
)
from appliance.state.store import Entry, Store
from appliance.uncut import Aside

DEFAULT_REVISIONS = 100
BYTES_MAX = 64 << 20
DIFFERENCES_KEPT = 20
FOREIGN_SHOWN = 5
# What counts for each service of a revision in memory.  Its place there takes a tenth of it, but
# Python's collector of garbage looks through all of them, and everyone waits: 100 revisions of 1000
# services take it a few milliseconds.
_SERVICE_BYTES = 640
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class UnknownRevisionError(Exception):
    """There is no revision of this number, or not any more."""


class UnconfirmedError(Exception):
    """A revision waits for its confirmation, or none does where one should."""


class OtherWaitsError(Exception):
    """Another revision waits for its confirmation."""


class NotKeptError(Exception):
    """The disk doesn't take the revision, and nothing was changed."""

    def __init__(self, reason: str, full: bool) -> None:
        super().__init__(reason)
        self.full = full


@dataclass(frozen=True)
class Waiting:
    """The newest revision, unless it is confirmed."""

    number: int
    former: Record
    deadline_s: float       # time.monotonic()


@dataclass(frozen=True)
class Origin:
    """Who makes a revision, and how."""

    by: str
    action: str


@dataclass(frozen=True)
class Stepped:
    """One of several revisions that are made at once; each changes a service of the one before."""

    step: Step
    origin: Origin
    differences: Sequence[Difference]


class History:
    def __init__(self, first: Record | None = None, limit: int = DEFAULT_REVISIONS) -> None:
        """In memory."""
        self.waiting: Waiting | None = None
        self.waiting_changed = asyncio.Event()
        self.persistent = False         # the newest is on disk
        self.unusable = ""              # why there is no folder where one is asked for
        self.notices: list[str] = []    # what of the folder is of no use
        self.write_error = ""           # of the last write
        self._limit = limit
        self._aside = Aside()
        self._store: Store | None = None
        self._memory: dict[int, AnyRecord] = {}         # what isn't on disk
        self._revisions: dict[int, Revision] = {}
        self._last = 0                                  # the highest number there ever was
        self._newest = first or Record(Revision(), Live(), Live())

    @property
    def newest(self) -> Record:
        return self._newest

    @property
    def kept(self) -> bool:
        """All is on disk that is asked to be."""
        asked = self._store is not None
        return not self.unusable and not self.write_error and (self.persistent or not asked)

    def revisions(self) -> list[Revision]:
        """The newest first."""
        return list(reversed(self._revisions.values()))

    def etag(self) -> str:
        revision = self._newest.revision
        return f"{revision.number}-{revision.create_time.ToMilliseconds():x}"

    def check_confirmed(self) -> None:
        """Raises UnconfirmedError."""
        if self.waiting:
            left_s = max(self.waiting.deadline_s - time.monotonic(), 0)
            raise UnconfirmedError(
                f"revision {self.waiting.number} waits {left_s:.0f} s more for its confirmation;"
                " confirm it or roll back first"
            )

    async def record(self, number: int) -> Record:
        """Raises UnknownRevisionError, DamagedError."""
        if number == self._newest.revision.number:
            return self._newest
        if number in self._memory:
            return record_whole(self._memory[number])
        self._check_there(number)
        try:
            return await self._aside.run(lambda: self.stored(number))
        except (DamagedError, OSError) as error:
            self._check_there(number)       # it may have gone while it was read
            reason = (f"can't be read: {error.strerror}" if isinstance(error, OSError)
                      else str(error))
            raise DamagedError(f"the file of revision {number} {reason}") from None

    def stored(self, number: int) -> Record:
        """From disk.  Raises DamagedError, OSError."""
        assert self._store is not None
        return self._store.read(number)

    async def add(
        self, live: Live, file: Live, origin: Origin, differences: Sequence[Difference],
        confirm_within_s: float = 0, must_be_kept: bool = True,
    ) -> Revision:
        """What runs from now on.  Raises NotKeptError."""
        former = self._newest
        revision = _revision(self._last + 1, origin, differences)
        if confirm_within_s:
            revision.confirm_within.FromMilliseconds(round(confirm_within_s * 1000))
            revision.rollback_revision = former.revision.number
        await self._keep([], (Record(revision, live, file), None), must_be_kept)
        self._wait(Waiting(revision.number, former, time.monotonic() + confirm_within_s)
                   if confirm_within_s else None)
        return revision

    async def add_steps(self, live: Live, several: Sequence[Stepped]) -> None:
        """What runs from now on, by these steps, one behind the other; all are kept or none is.
        Raises NotKeptError."""
        before, follows = self._newest, self._on_disk(self._newest)
        steps = [one.step for one in several]
        revisions = [_revision(number, one.origin, one.differences)
                     for number, one in enumerate(several, self._last + 1)]
        known = [step if at or follows else None for at, step in enumerate(steps)]
        earlier = [(LaterRecord(revisions[at], before, steps[:at + 1]), known[at])
                   for at in range(len(several) - 1)]
        await self._keep(earlier, (Record(revisions[-1], live, before.file), known[-1]), True)

    async def take_back(self, former: Record, waiting: Waiting | None) -> None:
        """What came behind `former` was not run after all, and that goes on."""
        numbers = [number for number in self._revisions if number > former.revision.number]
        self._newest = former
        self._wait(waiting)
        for number in numbers:
            self._forget(number)
        if self._store is not None and numbers:
            await self._try(self._store.take_back, numbers[0])
        self.persistent = self._on_disk(former)

    async def confirm(self, number: int, by: str) -> Revision:
        """The one that waits, which `number` names, or 0.  Raises what this module defines."""
        if not self.waiting:
            raise UnconfirmedError("no revision waits for a confirmation")
        if number not in (0, self.waiting.number):
            raise OtherWaitsError(f"revision {self.waiting.number} waits, not {number}")
        confirmed = Revision()
        confirmed.CopyFrom(self._newest.revision)
        confirmed.confirm_time.CopyFrom(_now())
        confirmed.confirmed_by = by
        record = Record(confirmed, self._newest.live, self._newest.file)
        await self._keep([], (record, None), True)
        self._wait(None)
        return confirmed

    def file_taken(self, file: Live) -> None:
        """It says what runs already, so that no revision tells of it but the next."""
        self._newest = Record(self._newest.revision, self._newest.live, file)

    async def prune(self) -> None:
        """What is over goes, and what is to be whole on disk is written."""
        kept = {self._newest.revision.number}
        if self.waiting:
            kept.add(self.waiting.former.revision.number)
        oldest = self._forget_over(kept)
        if self._store is None:
            return
        if self._store.whole_due():
            await self._try(self._store.write_newest)
        needless = self._store.needless(oldest)
        if any(needless):
            await self._try(self._store.remove, needless)

    def _forget_over(self, kept: Collection[int]) -> int:
        """Returns the first that is left."""
        for number in [number for number in self._revisions if number not in kept]:
            if len(self._revisions) <= self._limit and self._bytes() <= BYTES_MAX:
                break
            self._forget(number)
        return next(iter(self._revisions), self._last)

    def _bytes(self) -> int:
        memory = sum(len(record.live.services) for record in self._memory.values()
                     if isinstance(record, Record))
        oldest = next(iter(self._revisions))
        disk = self._store.bytes_from(oldest) if self._store is not None else 0
        return memory * _SERVICE_BYTES + disk

    def load(self, folder: Folder) -> Iterator[str]:
        """What is in the folder, before anything is added.  Tells what of it is of no use."""
        self._store = store = Store(folder)
        yield from store.load()
        self._last = store.last
        self._revisions = dict(list(store.revisions.items())[-self._limit:])
        store.revisions.clear()
        if store.newest is not None:
            self._newest = record_whole(store.newest)
            self.persistent = True
        foreign = folder.foreign()
        for name in foreign[:FOREIGN_SHOWN]:
            yield f"{folder.path}/{name}: is not ours, and left alone"
        if len(foreign) > FOREIGN_SHOWN:
            yield f"{folder.path}: {len(foreign) - FOREIGN_SHOWN} more files are not ours"

    def close(self) -> None:
        if self._store is not None:
            self._store.folder.close()

    async def _keep(
        self, earlier: Sequence[Entry], newest: tuple[Record, Step | None], must_be_kept: bool
    ) -> None:
        entries, on_disk = [*earlier, newest], False
        if self._store is not None:
            try:
                await asyncio.to_thread(self._store.keep, entries)
                self.write_error, on_disk = "", True
            except OSError as error:
                self._failed(error)
                if must_be_kept:
                    raise NotKeptError(
                        f"{self.write_error}; nothing was changed, since it would not survive a"
                        " restart", error.errno in _FULL) from None
        for record, _ in entries:
            number = record.revision.number
            self._memory.pop(number, None)
            if not on_disk:
                self._memory[number] = record
            self._last = max(self._last, number)
            self._revisions[number] = record.revision
        self._newest = newest[0]
        self.persistent = on_disk

    def _check_there(self, number: int) -> None:
        """Raises UnknownRevisionError."""
        if number not in self._revisions:
            raise UnknownRevisionError(f"there is no revision {number}, or not any more")

    def _on_disk(self, record: Record) -> bool:
        newest = self._store.newest if self._store is not None else None
        return newest is not None and newest.revision.number == record.revision.number

    def _forget(self, number: int) -> None:
        self._revisions.pop(number, None)
        self._memory.pop(number, None)

    async def _try(self, work: Callable[..., None], *arguments: object) -> None:
        try:
            await asyncio.to_thread(work, *arguments)
        except OSError as error:
            self._failed(error)

    def _failed(self, error: OSError) -> None:
        assert self._store is not None
        self.write_error = f"{self._store.folder.path}: {error.strerror}"

    def _wait(self, waiting: Waiting | None) -> None:
        self.waiting = waiting
        self.waiting_changed.set()


def unconfirmed(revision: Revision) -> bool:
    return bool(revision.rollback_revision) and not revision.HasField("confirm_time")


def _revision(number: int, origin: Origin, differences: Sequence[Difference]) -> Revision:
    return Revision(
        number=number, create_time=_now(), by=origin.by, action=origin.action,
        differences=differences[:DIFFERENCES_KEPT], differences_total=len(differences),
    )


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
