"""The revisions: the newest is what runs, the others are to look at and to go back to.

A revision is on disk before it runs.  One that can't be kept is refused with what it would change,
but for what the daemon does by itself: what a file says when it starts, and the former revision's
return.  Both would come about again after a restart; they are in memory until the next is written.

No more are kept than was asked for, nor than take BYTES_MAX; the oldest go first.
"""

import asyncio
import errno
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1.revision_pb2 import Difference, Revision

from appliance.config.live import Live
from appliance.state.folder import Folder, file_name
from appliance.state.record import DamagedError, Record, record_of

DEFAULT_REVISIONS = 100
BYTES_MAX = 64 << 20
DIFFERENCES_KEPT = 20
FOREIGN_SHOWN = 5
# What counts for each service of a revision in memory.  Its place there takes a tenth of it, but
# Python's collector of garbage looks through all of them, and everyone waits: 100 revisions of 1000
# services take it a few milliseconds.
_SERVICE_BYTES = 640
_FULL = (errno.ENOSPC, errno.EDQUOT)


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
        self._folder: Folder | None = None
        self._memory: dict[int, Record] = {}            # what isn't on disk
        self._revisions: dict[int, Revision] = {}
        self._sizes: dict[int, int] = {}                # in bytes
        self._damaged: list[int] = []
        self._last = 0                                  # the highest number there ever was
        self._newest = first or Record(Revision(), Live(), Live())

    @property
    def newest(self) -> Record:
        return self._newest

    @property
    def kept(self) -> bool:
        """All is on disk that is asked to be."""
        asked = self._folder is not None
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
            return self._memory[number]
        if self._folder is None or number not in self._revisions:
            raise UnknownRevisionError(f"there is no revision {number}, or not any more")
        try:
            stored, _ = await asyncio.to_thread(self._folder.read, number)
        except DamagedError as error:
            raise DamagedError(f"the file of revision {number} {error}") from None
        except OSError as error:
            reason = f"the file of revision {number} can't be read: {error.strerror}"
            raise DamagedError(reason) from None
        return record_of(stored)

    async def add(
        self, live: Live, file: Live, origin: Origin, differences: Sequence[Difference],
        confirm_within_s: float = 0, must_be_kept: bool = True,
    ) -> Revision:
        """What runs from now on.  Raises NotKeptError."""
        former = self._newest
        revision = Revision(
            number=self._last + 1, create_time=_now(), by=origin.by, action=origin.action,
            differences=differences[:DIFFERENCES_KEPT], differences_total=len(differences),
        )
        if confirm_within_s:
            revision.confirm_within.FromMilliseconds(round(confirm_within_s * 1000))
            revision.rollback_revision = former.revision.number
        await self._keep(Record(revision, live, file), must_be_kept)
        self._wait(Waiting(revision.number, former, time.monotonic() + confirm_within_s)
                   if confirm_within_s else None)
        return revision

    async def take_back(self, former: Record, waiting: Waiting | None) -> None:
        """The newest was not run after all; `former` goes on."""
        number = self._newest.revision.number
        self._newest = former
        self._wait(waiting)
        self._forget(number)
        await self._remove(number)

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
        await self._keep(Record(confirmed, self._newest.live, self._newest.file), True)
        self._wait(None)
        return confirmed

    def file_taken(self, file: Live) -> None:
        """It says what runs already, so that no revision tells of it but the next."""
        self._newest = Record(self._newest.revision, self._newest.live, file)

    async def prune(self) -> None:
        kept = {self._newest.revision.number}
        if self.waiting:
            kept.add(self.waiting.former.revision.number)
        over, total = len(self._revisions) - self._limit, sum(self._sizes.values())
        for number in [number for number in self._revisions if number not in kept]:
            if over <= 0 and total <= BYTES_MAX:
                break
            over, total = over - 1, total - self._sizes[number]
            self._forget(number)
            await self._remove(number)
        oldest = next(iter(self._revisions), self._last)
        for number in [number for number in self._damaged if number < oldest]:
            self._damaged.remove(number)
            await self._remove(number)

    def load(self, folder: Folder) -> Iterator[str]:
        """What is in the folder, before anything is added.  Tells what of it is of no use."""
        self._folder = folder
        stored = None
        for number in folder.numbers():
            self._last = number
            try:
                stored, self._sizes[number] = folder.read(number)
                self._revisions[number] = stored.revision
            except (DamagedError, OSError) as error:
                self._damaged.append(number)
                reason = error.strerror if isinstance(error, OSError) else error
                yield f"{folder.path}/{file_name(number)}: {reason}; it is passed over"
        if stored is not None:
            self._newest = record_of(stored)
            self.persistent = True
        foreign = folder.foreign()
        for name in foreign[:FOREIGN_SHOWN]:
            yield f"{folder.path}/{name}: is not ours, and left alone"
        if len(foreign) > FOREIGN_SHOWN:
            yield f"{folder.path}: {len(foreign) - FOREIGN_SHOWN} more files are not ours"

    def close(self) -> None:
        if self._folder is not None:
            self._folder.close()

    async def _keep(self, record: Record, must_be_kept: bool) -> None:
        number, size = record.revision.number, len(record.live.services) * _SERVICE_BYTES
        on_disk = False
        if self._folder is not None:
            try:
                size = await asyncio.to_thread(self._folder.write, record)
                self.write_error, on_disk = "", True
            except OSError as error:
                self.write_error = f"{self._folder.path}: {error.strerror}"
                if number not in self._revisions:
                    await self._remove(number)      # it may be there, and not be known to stay
                if must_be_kept:
                    raise NotKeptError(
                        f"{self.write_error}; nothing was changed, since it would not survive a"
                        " restart", error.errno in _FULL) from None
        self._memory.pop(number, None)
        if not on_disk:
            self._memory[number] = record
        self.persistent = on_disk
        self._last = max(self._last, number)
        self._newest = record
        self._revisions[number] = record.revision
        self._sizes[number] = size

    def _forget(self, number: int) -> None:
        for kept in (self._revisions, self._sizes, self._memory):
            kept.pop(number, None)

    async def _remove(self, number: int) -> None:
        if self._folder is not None:
            try:
                await asyncio.to_thread(self._folder.remove, number)
            except OSError as error:
                self.write_error = f"{self._folder.path}: {error.strerror}"

    def _wait(self, waiting: Waiting | None) -> None:
        self.waiting = waiting
        self.waiting_changed.set()


def unconfirmed(revision: Revision) -> bool:
    return bool(revision.rollback_revision) and not revision.HasField("confirm_time")


def _now() -> Timestamp:
    now = Timestamp()
    now.GetCurrentTime()
    return now
