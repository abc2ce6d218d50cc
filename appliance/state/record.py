"""A revision with all that it takes to run it again, as bytes and back.

    synproxy revision 1 <SHA-256 of what follows, in hex>\\n
    StoredRevision (revision.proto)

The first line tells people what the file is, and the daemon whether all of it is there.
"""

import hashlib
import re
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from synproxy.v1.revision_pb2 import Revision, StoredRevision
from synproxy.v1.service_pb2 import Service

from appliance.config.live import Live, live_make

_FORMAT = 1
_HEAD = re.compile(rb"synproxy revision ([0-9]{1,9}) ([0-9a-f]{64})\n")


@dataclass(frozen=True)
class Record:
    revision: Revision
    live: Live
    file: Live      # the configuration file as it was last taken


class DamagedError(Exception):
    """These bytes are no revision; the message says what they are."""


class RecordEncoder:
    """Remembers how services are written: from one revision to the next most are the same objects,
    and thousands are written each time."""

    def __init__(self) -> None:
        self._written: dict[str, tuple[Service, bytes]] = {}

    def encode(self, record: Record) -> bytes:
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


def _digest(body: bytes) -> bytes:
    return hashlib.sha256(body).hexdigest().encode()


def _begins(content: bytes) -> bool:
    """It could be the beginning of a revision, cut off in its first line."""
    prefix = b"synproxy revision "
    return content[: len(prefix)] == prefix[: len(content)]

