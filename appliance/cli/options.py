"""Service options as people write them: mss=1400 timeouts.established=2h."""

from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from synproxy.v1.service_pb2 import ServiceOptions

from appliance.config.constraints import value_reason
from appliance.config.schema import fields_of, is_group
from appliance.config.values import value_parse, value_text
from appliance.config.violation import join

# The value that sets an option back to what it is without the service's own word.
RESET = "default"


def option_fields(
    kind: Descriptor | Any = ServiceOptions.DESCRIPTOR, path: str = ""
) -> Iterator[tuple[str, FieldDescriptor]]:
    """Every option with its path, in the schema's order."""
    for field in fields_of(kind):
        where = join(path, field.name)
        if is_group(field):
            yield from option_fields(field.message_type, where)
        else:
            yield where, field


def option_texts(options: Message, path: str = "") -> dict[str, str]:
    """The options that are set, by path, in the schema's order."""
    texts: dict[str, str] = {}
    for field, value in options.ListFields():
        where = join(path, field.name)
        if is_group(field):
            texts |= option_texts(value, where)
        else:
            texts[where] = value_text(field, value)
    return texts


def assignments_apply(assignments: Sequence[str], options: ServiceOptions) -> list[str]:
    """Set what the assignments name; returns their paths.  Raises ValueError, with one line for
    each assignment that is wrong."""
    fields = dict(option_fields())
    paths, errors = [], []
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        field = fields.get(path)
        try:
            if not equals or not path:
                raise ValueError("must be OPTION=VALUE")
            if field is None:
                raise ValueError(_unknown(path, list(fields)))
            if path in paths:
                raise ValueError("is given twice")
            if text != RESET:
                _assign(_holder(options, path), field, text)
            paths.append(path)
        except ValueError as error:
            errors.append(f"{path or assignment}: {error}")
    if errors:
        raise ValueError("\n".join(errors))
    return paths


def _assign(holder: Message, field: FieldDescriptor, text: str) -> None:
    value = value_parse(field, text)
    if isinstance(value, Duration):
        getattr(holder, field.name).CopyFrom(value)
        return
    try:
        setattr(holder, field.name, value)
    except ValueError:
        # Whole numbers of 32 bits: what fits, the daemon holds against its own rule.
        raise ValueError(value_reason(field, value)) from None


def _holder(options: ServiceOptions, path: str) -> Message:
    """The message that holds the last field of `path`."""
    message: Message = options
    for name in path.split(".")[:-1]:
        message = getattr(message, name)
    return message


def _unknown(path: str, known: list[str]) -> str:
    near = get_close_matches(path, known, n=1)
    return "unknown option; " + (
        f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    )
