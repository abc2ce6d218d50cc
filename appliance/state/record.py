"""A revision with all that it takes to run it again, as bytes and back: whole, or, where it changes
one service of the revision before, as just that.

    synproxy revision 1 <SHA-256 of what follows, in hex>\\n
    StoredRevision (revision.proto)

    synproxy change 1 <bytes that follow> <SHA-256 of them, in hex>\\n
    StoredChange

The first line tells people what it is, and the daemon whether all of it is there.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from synproxy.v1.revision_pb2 import Revision, StoredChange, StoredRevision
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.live import Live, live_make

_FORMAT = 1
_HEAD = re.compile(rb"synproxy revision ([0-9]{1,9}) ([0-9a-f]{64})\n")
_CHANGE_HEAD = re.compile(rb"synproxy change ([0-9]{1,9}) ([0-9]{1,9}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class Record:
    revision: Revision
    live: Live
    file: Live      # the configuration file as it was last taken

    @property
    def defaults(self) -> ServiceOptions:
        return self.live.defaults


@dataclass(frozen=True)
class Step:
    """What a revision changes of the one before, where it is one service."""

    name: str
    service: Service | None     # None: it is deleted


class LaterRecord:
    """A Record that was made together with others behind it, as the steps that lead to it from one
    before: of thousands of services it takes no copy, until somebody asks for them."""

    def __init__(self, revision: Revision, before: Record, steps: Sequence[Step]) -> None:
        self.revision, self.file = revision, before.file
        self._before, self._steps = before.live, steps

    @property
    def live(self) -> Live:
        return live_after(self._before, self._steps)

    @property
    def defaults(self) -> ServiceOptions:
        """Which no step changes."""
        return self._before.defaults


AnyRecord = Record | LaterRecord


def record_whole(record: AnyRecord) -> Record:
    """With its services at hand."""
    if isinstance(record, Record):
        return record
    return Record(record.revision, record.live, record.file)


class DamagedError(Exception):
    """These bytes are no revision; the message says what they are."""


class RecordEncoder:
    """Remembers how services are written: from one revision to the next most are the same objects,
    and thousands are written each time."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[Service, bytes]] = {}

    def encode(self, record: AnyRecord) -> bytes:
        running, file = record.live, record.file
        stored = StoredRevision(
            revision=record.revision, defaults=running.defaults,
            file_services=[
                service for name, service in file.services.items()
                # Most are the same object (live_shared), and quick to tell.
                if (other := running.services.get(name)) is not service and other != service
            ],
            file_lacks=[name for name in running.services if name not in file.services],
        )
        if file.defaults != running.defaults:
            stored.file_defaults.CopyFrom(file.defaults)
            stored.file_defaults.SetInParent()
        # Two messages, one behind the other, are one with the elements of both (Protocol Buffers,
        # Encoding, "Last One Wins").
        body = stored.SerializeToString() + self._services(running)
        return b"synproxy revision %d %s\n" % (_FORMAT, _digest(body)) + body

    def _services(self, live: Live) -> bytes:
        former, self._written = self._written, {}
        for name, service in live.services.items():
            known, part = former.get(name, (None, b""))
            if known is not service:
                part = StoredRevision(services=[service]).SerializeToString()
            self._written[name] = service, part
        return b"".join(part for _, part in self._written.values())


def stored_decode(content: bytes) -> StoredRevision:
    """Raises DamagedError."""
    head = _HEAD.match(content)
    if head is None:
        raise DamagedError("is torn" if _begins(content) else "is no revision of synproxy")
    if int(head[1]) != _FORMAT:
        raise DamagedError(f"is of format {int(head[1])}, which this version doesn't know")
    body = content[head.end():]
    if _digest(body) != head[2]:
        raise DamagedError("is torn or was changed: its checksum is another")
    try:
        return StoredRevision.FromString(body)
    except DecodeError:
        raise DamagedError("is no revision of synproxy") from None


def record_of(stored: StoredRevision) -> Record:
    running = live_make(stored.defaults, stored.services)
    lacks = set(stored.file_lacks)
    services = {name: one for name, one in running.services.items() if name not in lacks}
    services |= {service.name: service for service in stored.file_services}
    defaults = stored.file_defaults if stored.HasField("file_defaults") else running.defaults
    return Record(stored.revision, running, Live(defaults, services))


def change_encode(revision: Revision, step: Step) -> bytes:
    stored = StoredChange(revision=revision)
    if step.service is None:
        stored.deleted = step.name
    else:
        stored.service.CopyFrom(step.service)
    body = stored.SerializeToString()
    return b"synproxy change %d %d %s\n" % (_FORMAT, len(body), _digest(body)) + body


def changes_decode(content: bytes) -> Iterator[tuple[StoredChange, int]]:
    """Each with where it ends, as far as all is in order.  Raises DamagedError where it begins
    otherwise."""
    at = 0
    while (head := _CHANGE_HEAD.match(content, at)) and int(head[1]) == _FORMAT:
        body = content[head.end():head.end() + int(head[2])]
        if len(body) < int(head[2]) or _digest(body) != head[3]:
            break
        try:
            stored = StoredChange.FromString(body)
        except DecodeError:
            break
        at = head.end() + len(body)
        yield stored, at
    if head and int(head[1]) != _FORMAT:
        raise DamagedError(f"is of format {int(head[1])}, which this version doesn't know")
    if at == 0 and not _begins(content, b"synproxy change "):
        raise DamagedError("holds no changes of synproxy")


def record_after(record: Record, changes: Iterable[StoredChange]) -> Record:
    """What these changes make of it, one behind the other."""
    revision, steps = record.revision, []
    for change in changes:
        revision = change.revision
        steps.append(Step(change.service.name, change.service) if change.HasField("service")
                     else Step(change.deleted, None))
    return Record(revision, live_after(record.live, steps), record.file)


def live_after(live: Live, steps: Iterable[Step]) -> Live:
    services = dict(live.services)
    for step in steps:
        if step.service is not None:
            services[step.name] = step.service
        else:
            services.pop(step.name, None)
    return Live(live.defaults, services)


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _begins(content: bytes, prefix: bytes = b"synproxy revision ") -> bool:
    """It could be the beginning of one, cut off in its first line."""
    return content[: len(prefix)] == prefix[: len(content)]
