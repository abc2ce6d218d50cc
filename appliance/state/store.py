"""Which file has which revision, and what to do to keep one more.

A revision that changes one service is appended to those that the newest whole one has behind it;
any other is whole.  Every so often one that is appended is written whole besides, so that a start
reads no more than it must.  So a revision is found in its own file, or as the one before it with a
change; where a file is damaged but its revision was appended before, nothing is lost.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from synproxy.v1.revision_pb2 import Revision

from appliance.state.folder import Folder, changes_name, file_name
from appliance.state.record import (
    AnyRecord,
    DamagedError,
    Record,
    Step,
    change_encode,
    changes_decode,
    record_after,
    record_of,
)

# Until a whole revision follows: reading as many takes a tenth of a second, writing a whole one of
# thousands of services some milliseconds, in which nobody is to wait often.
CHANGES_MAX = 4096
CHANGES_BYTES_MAX = 8 << 20

PASSED_OVER = "it is passed over"

Entry = tuple[AnyRecord, Step | None]   # what is to be kept, and the one service that it changes


@dataclass
class Changes:
    """What a file of them holds: of each revision, where it ends."""

    ends: dict[int, int] = field(default_factory=dict)
    sound: bool = True      # more may be appended

    @property
    def length(self) -> int:
        return next(reversed(self.ends.values()), 0)

    @property
    def last(self) -> int:
        """Its number; 0 where there is none."""
        return next(reversed(self.ends), 0)

    def forget_from(self, first: int) -> None:
        self.ends = {number: end for number, end in self.ends.items() if number < first}


class Store:
    def __init__(self, folder: Folder) -> None:
        self.folder = folder
        self.newest: AnyRecord | None = None        # that is on disk
        self.revisions: dict[int, Revision] = {}    # that were there at the start, in order
        self.last = 0               # the highest number there ever was, of what is damaged as well
        self._former: AnyRecord | None = None       # the newest before what was kept last
        self._whole: dict[int, int] = {}            # by number: bytes
        self._changes: dict[int, Changes] = {}      # by the revision that they are behind
        self._damaged: set[int] = set()             # numbers of whole ones

    def load(self) -> Iterator[str]:
        """Finds what is there; `revisions` has it then.  Tells what is of no use."""
        for number in self.folder.numbers():
            self.last = max(self.last, number)
            try:
                stored, self._whole[number] = self.folder.read(number)
                self.revisions[number] = stored.revision
            except (DamagedError, OSError) as error:
                self._damaged.add(number)
                yield f"{self.folder.path}/{file_name(number)}: {reason_of(error)}; {PASSED_OVER}"
        for base in self.folder.bases():
            yield from self._load_changes(base)
        self.revisions = dict(sorted(self.revisions.items()))
        for number in reversed(list(self.revisions)):
            try:
                self.newest = self.read(number)
                return
            except (DamagedError, OSError) as error:
                del self.revisions[number]
                yield f"{self.folder.path}: revision {number} {reason_of(error)}; {PASSED_OVER}"

    def read(self, number: int) -> Record:
        """Raises DamagedError, OSError."""
        base, wanted = next(((base, changes.ends[number])
                             for base, changes in list(self._changes.items())
                             if number in changes.ends), (None, 0))
        if number in self._whole or base is None:
            try:
                return record_of(self.folder.read(number)[0])
            except (DamagedError, OSError):
                if base is None:
                    raise
        behind = [change for change, end in changes_decode(self.folder.read_changes(base))
                  if end <= wanted]
        if not behind or behind[-1].revision.number != number:
            raise DamagedError("is torn or was changed: its checksum is another")
        return record_after(self.read(base), behind)

    def keep(self, entries: Sequence[Entry]) -> None:
        """Returns once they are on disk.  Raises OSError, and then none is there, or what was
        there before still is, unless the disk denies that as well."""
        first, self._former = entries[0][0].revision.number, self.newest
        try:
            if not self._follows(*entries[0]):
                self._write(entries[0][0])
                entries = entries[1:]
            if entries:
                self._append(entries)
        except OSError:
            if self._former is None or first > self._former.revision.number:
                with suppress(OSError):
                    self.take_back(first)
            raise

    def take_back(self, first: int) -> None:
        """What was kept last, from this number on, is no more.  Again is no error.  Raises
        OSError."""
        self.newest = self._former
        for base, changes in list(self._changes.items()):
            if changes.last >= first:
                changes.forget_from(first)
                self.folder.cut(base, changes.length)
                if not changes.ends:
                    del self._changes[base]
        for number in {first, *(number for number in self._whole if number > first)}:
            self._whole.pop(number, None)
            self.folder.remove(number)

    def whole_due(self) -> bool:
        """What was kept last is to be there whole as well."""
        changes = self._appended()
        return changes is not None and changes.sound and (
            len(changes.ends) >= CHANGES_MAX or changes.length >= CHANGES_BYTES_MAX)

    def write_newest(self) -> None:
        """Whole.  Raises OSError, and then nothing is lost."""
        if self.newest is not None:
            self._write(self.newest)

    def bytes_from(self, oldest: int) -> int:
        """What those from this number on take."""
        first = self._needed(oldest)
        return (sum(size for number, size in self._whole.items() if number >= first)
                + sum(one.length for one in self._changes.values() if one.last > first))

    def needless(self, oldest: int) -> tuple[list[int], list[int]]:
        """What those from this number on don't need: whole ones, and what changes are behind."""
        first = self._needed(oldest)
        return (
            [number for number in (*self._whole, *self._damaged) if number < first],
            [base for base, one in self._changes.items() if base < first and one.last <= first],
        )

    def remove(self, needless: tuple[list[int], list[int]]) -> None:
        """Raises OSError."""
        for number in needless[0]:
            self._whole.pop(number, None)
            self._damaged.discard(number)
            self.folder.remove(number)
        for base in needless[1]:
            del self._changes[base]
            self.folder.cut(base, 0)

    def _load_changes(self, base: int) -> Iterator[str]:
        path = f"{self.folder.path}/{changes_name(base)}"
        changes = self._changes[base] = Changes()
        try:
            content = self.folder.read_changes(base)
            if base not in self.revisions:
                raise DamagedError(f"follows revision {base}, which isn't there")
            for stored, end in changes_decode(content):
                changes.ends[stored.revision.number] = end
                self.revisions.setdefault(stored.revision.number, stored.revision)
            self.last = max(self.last, changes.last)
            if changes.length < len(content):
                yield f"{path}: is torn behind revision {changes.last or base}, and cut there"
                self.folder.cut(base, changes.length)
        except (DamagedError, OSError) as error:
            changes.sound = False
            yield f"{path}: {reason_of(error)}; {PASSED_OVER}"

    def _follows(self, record: AnyRecord, step: Step | None) -> bool:
        """It can be appended: all else is as it is on disk."""
        newest, changes = self.newest, self._appended() or Changes()
        if step is None or newest is None or not self._whole or not changes.sound:
            return False
        return (newest.revision.number == (changes.last or max(self._whole))
                and record.file is newest.file and record.defaults == newest.defaults)

    def _appended(self) -> Changes | None:
        """The file that is appended to."""
        return self._changes.get(max(self._whole, default=0))

    def _append(self, entries: Sequence[Entry]) -> None:
        base = max(self._whole)
        changes = self._changes.get(base) or Changes()
        parts = [change_encode(record.revision, step) for record, step in entries if step]
        self.folder.append(base, changes.length, b"".join(parts))
        for (record, _), part in zip(entries, parts, strict=True):
            changes.ends[record.revision.number] = changes.length + len(part)
        self._changes[base] = changes
        self._kept(entries[-1][0])

    def _write(self, record: AnyRecord) -> None:
        self._whole[record.revision.number] = self.folder.write(record)
        self._kept(record)

    def _kept(self, record: AnyRecord) -> None:
        self.newest = record
        self.last = max(self.last, record.revision.number)

    def _needed(self, oldest: int) -> int:
        """The first whole one that is needed for those from this number on."""
        return max((number for number in self._whole if number <= oldest), default=oldest)


def reason_of(error: DamagedError | OSError) -> str:
    return str(error.strerror if isinstance(error, OSError) else error)
