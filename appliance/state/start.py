"""What runs when the daemon starts: the newest revision, with what has changed in the file since.

A revision that was not confirmed is as if it had never been, and the one before it comes back.
Where both together break a rule, or no revision is whole, the file runs as it is: a proxy that
doesn't start protects nobody.  Each of these is told.
"""

from dataclasses import dataclass, field
from pathlib import Path

from synproxy.v1.config_pb2 import Config

from appliance.config.live import Live, live_merge, live_of, live_violations
from appliance.config.options import complete
from appliance.state.folder import Folder, FolderError
from appliance.state.history import History, Origin, unconfirmed
from appliance.state.record import DamagedError, Record

VIOLATIONS_SHOWN = 3


@dataclass
class Start:
    history: History
    live: Live              # what is to run
    file: Live
    origin: Origin          # of the revision that says so, where the newest doesn't
    notices: list[str] = field(default_factory=list)


def start_from(config: Config, path: Path) -> Start:
    """`path` is where `config` was read."""
    whole = Config()
    whole.CopyFrom(config)
    complete(whole)
    file, origin = live_of(config), Origin(f"file {path}", "start")
    history = History(limit=whole.management.revisions)
    start = Start(history, file, file, origin)
    if not whole.management.HasField("state_folder"):
        start.notices.append(
            "management.state_folder isn't set: changes over gRPC last until the daemon ends")
        return start
    try:
        folder = Folder(Path(whole.management.state_folder))
    except FolderError as error:
        history.unusable = str(error)
        start.notices.append(
            f"management.state_folder: {error}; changes over gRPC last until the daemon ends")
        return start
    history.notices += history.load(folder)
    start.notices += history.notices
    if history.persistent:
        _restore(start, whole.limits.services)
    return start


def _restore(start: Start, services_max: int) -> None:
    record: Record | None = start.history.newest
    if unconfirmed(start.history.newest.revision):
        record = _former(start)
    if record is None:
        return
    merged = live_merge(record.file, start.file, record.live)
    violations = live_violations(merged.live, services_max)
    if violations:
        start.notices.append(
            f"revision {record.revision.number} doesn't go with the file, which runs alone: "
            + "; ".join(f"{one.path}: {one.reason}" for one in violations[:VIOLATIONS_SHOWN]))
        return
    start.live = merged.live
    start.notices += (
        f"{resource}: the file has changed it, which takes the place of another change"
        for resource in merged.overridden)


def _former(start: Start) -> Record | None:
    """The revision that comes back since the newest wasn't confirmed."""
    newest = start.history.newest.revision
    start.origin = Origin("daemon", f"start: revision {newest.number} was not confirmed")
    for revision in start.history.revisions():
        if revision.number > newest.rollback_revision:
            continue
        try:
            record = start.history.stored(revision.number)
        except (OSError, DamagedError):
            continue        # told when it was loaded
        start.notices.append(
            f"revision {newest.number} was not confirmed before the daemon ended;"
            f" revision {revision.number} is back")
        return record
    start.notices.append(
        f"revision {newest.number} was not confirmed before the daemon ended, and none before it"
        " is whole: the file runs alone")
    return None
