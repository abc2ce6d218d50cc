"""What a call changes, noted where it is done, for the line that the call leaves in the log.

A field whose schema says `debug_redact` holds a secret: that it changed is shown, what it was and
is isn't.
"""

from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import islice

from google.protobuf.message import Message

from appliance.config.schema import is_group, rule_of
from appliance.config.values import value_text
from appliance.config.violation import join

SECRET = "(secret)"
RESOURCES_MAX = 50      # of one call, in its line of the log
# Field's path → before and after, None where it is not there.
Fields = dict[str, tuple[str | None, str | None]]


@dataclass
class Changes:
    """Of one call, or of what the daemon does by itself."""

    by: str = "daemon"      # as whom the caller was seen
    action: str = ""        # "ServicesService/UpdateService"
    resources: dict[str, Fields] = field(default_factory=dict)
    unnamed: int = 0        # more resources

    def note(self, resource: str, fields: Fields) -> None:
        """`resource` is "services/web"."""
        if not fields:
            return
        if len(self.resources) < RESOURCES_MAX:
            self.resources[resource] = fields
        else:
            self.unnamed += 1

    def note_all(self, changed: Mapping[str, Fields]) -> None:
        """Likewise, of thousands that each have changed and aren't noted yet."""
        room = max(RESOURCES_MAX - len(self.resources), 0)
        self.resources.update(islice(changed.items(), room))
        self.unnamed += max(len(changed) - room, 0)


_current: ContextVar[Changes | None] = ContextVar("changes", default=None)


def changes_begin(by: str = "daemon", action: str = "") -> Changes:
    """From now on what this task does is noted in the result."""
    changes = Changes(by, action)
    _current.set(changes)
    return changes


def changes_now() -> Changes:
    """Of the call that this task is of."""
    return _current.get() or Changes()


def change_note(resource: str, fields: Fields) -> None:
    """What is done outside of a call is noted nowhere."""
    changes_now().note(resource, fields)


def fields_changed(before: Message | None, after: Message | None) -> Fields:
    """But for what the daemon works out itself, `output_only`."""
    old, new = dict(_texts(before)), dict(_texts(after))
    return {
        path: (_shown(old.get(path)), _shown(new.get(path)))
        for path in {**old, **new} if old.get(path) != new.get(path)
    }


def fields_set(message: Message) -> dict[str, str | None]:
    return {path: _shown(text) for path, text in _texts(message)}


@dataclass(frozen=True)
class _Text:
    text: str
    secret: bool


def _shown(text: _Text | None) -> str | None:
    if text is None:
        return None
    return SECRET if text.secret else text.text


def _texts(
    message: Message | None, path: str = "", secret: bool = False
) -> Iterator[tuple[str, _Text]]:
    """Every value that is set, with its path."""
    for field_, value in message.ListFields() if message is not None else ():
        if rule_of(field_).output_only:
            continue
        where = join(path, field_.name)
        hidden = secret or bool(field_.GetOptions().debug_redact)
        if not is_group(field_):
            values = value if field_.is_repeated else [value]
            yield where, _Text(", ".join(value_text(field_, one) for one in values), hidden)
        elif isinstance(value, Mapping):
            yield where, _Text(str(dict(value)), hidden)
        elif field_.is_repeated:
            for index, one in enumerate(value):
                yield from _texts(one, f"{where}[{index}]", hidden)
        else:
            yield from _texts(value, where, hidden)
