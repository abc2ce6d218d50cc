"""Holds a message against the rules of its fields: the same for the YAML file and for requests."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from synproxy.v1 import rule_pb2

from appliance.config.duration import NS_PER_MS, duration_ns
from appliance.config.formats import PARSERS
from appliance.config.schema import fields_of, is_group, needs_one, range_words, rule_of
from appliance.config.values import Value, value_text
from appliance.config.violation import Violation, join


@dataclass(frozen=True)
class _Demands:
    """What a message type wants to be there."""

    one_of: tuple[tuple[str, str], ...]     # oneofs, each with its fields in words
    required: tuple[str, ...]


@cache
def _demands(kind: Descriptor | Any) -> _Demands:
    return _Demands(
        tuple((oneof.name, ", ".join(field.name for field in oneof.fields))
              for oneof in kind.oneofs if needs_one(oneof)),
        tuple(field.name for field in fields_of(kind)
              if rule_of(field).required and not rule_of(field).output_only))


def constraint_violations(message: Message, path: str = "") -> Iterator[Violation]:
    """Every field of `message` and of the messages in it that its own rule forbids."""
    demands, there = _demands(message.DESCRIPTOR), message.ListFields()
    for oneof, names in demands.one_of:
        if not message.WhichOneof(oneof):
            yield Violation(path, f"needs one of {names}")
    set_ = {field.name for field, _ in there} if demands.required else ()
    for name in demands.required:
        if name not in set_:
            yield Violation(join(path, name), "is required")
    for field, value in there:
        if rule_of(field).output_only:
            continue
        where = join(path, field.name)
        if field.is_repeated:
            for index, item in enumerate(value):
                yield from _value_violations(field, item, f"{where}[{index}]")
        else:
            yield from _value_violations(field, value, where)


def value_reason(field: FieldDescriptor, value: Value) -> str | None:
    """Why the rule forbids the value; None where it doesn't."""
    rule = rule_of(field)
    if isinstance(value, str):
        return _string_reason(rule, value)
    if field.enum_type is not None:
        known = value in field.enum_type.values_by_number and value != 0
        return None if known else f"has no value {value}"
    number, unit = (duration_ns(value), NS_PER_MS) if isinstance(value, Duration) else (value, 1)
    inside = not rule.HasField("min") or rule.min * unit <= number <= rule.max * unit
    stepped = not rule.step or number % (rule.step * unit) == 0
    if rule.power_of_two and number & (number - 1):
        stepped = False
    if inside and stepped:
        return None
    negative = isinstance(value, Duration) and number < 0
    shown = "a negative duration" if negative else value_text(field, value)
    return f"must be {range_words(field)}, not {shown}"


def _string_reason(rule: rule_pb2.Rule, value: str) -> str | None:
    parse = PARSERS.get(rule.format)
    if parse is None:
        return None
    if not value:
        return "must not be empty"
    try:
        parse(value)
    except ValueError as error:
        return str(error)
    return None


def _value_violations(field: FieldDescriptor, value: Any, path: str) -> Iterator[Violation]:
    if is_group(field):
        yield from constraint_violations(value, path)
    else:
        reason = value_reason(field, value)
        if reason:
            yield Violation(path, reason)
