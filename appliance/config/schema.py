"""What the schema says of a field: its rule, in code and in words."""

from collections.abc import Sequence
from functools import cache
from typing import Any, cast

from google.protobuf.descriptor import (
    Descriptor,
    EnumDescriptor,
    FieldDescriptor,
    OneofDescriptor,
)
from synproxy.v1 import rule_pb2

from appliance.config.duration import NS_PER_MS, duration_text

APPLY_WORDS = {
    rule_pb2.APPLY_LIVE: "live",
    rule_pb2.APPLY_NEW_CONNECTIONS: "new connections",
    rule_pb2.APPLY_RESTART: "restart",
}


@cache
def rule_of(field: FieldDescriptor) -> rule_pb2.Rule:
    # The stubs don't know that an extension is an extension.
    rule: rule_pb2.Rule = field.GetOptions().Extensions[cast(Any, rule_pb2.rule)]
    return rule


def needs_one(oneof: OneofDescriptor | Any) -> bool:
    """One of its fields must be set."""
    return bool(oneof.GetOptions().Extensions[cast(Any, rule_pb2.exactly_one)])


def fields_of(kind: Descriptor | Any) -> Sequence[FieldDescriptor]:
    """A message type's fields; the stubs have two types for them that are one."""
    return cast(Sequence[FieldDescriptor], kind.fields)


def is_duration(field: FieldDescriptor) -> bool:
    kind = field.message_type
    return kind is not None and kind.full_name == "google.protobuf.Duration"


def is_group(field: FieldDescriptor) -> bool:
    """A message with fields of its own, which a duration is not."""
    return field.message_type is not None and not is_duration(field)


def enum_prefix(kind: EnumDescriptor) -> str:
    """What every value's name starts with: DRIVER_ in enum Driver."""
    zero: str = kind.values_by_number[0].name
    return zero.removesuffix("UNSPECIFIED")


def enum_words(kind: EnumDescriptor) -> list[str]:
    """The values' names as the YAML file has them, without prefix and without the zero value."""
    prefix = enum_prefix(kind)
    return [value.name.removeprefix(prefix) for value in kind.values if value.number]


def range_words(field: FieldDescriptor) -> str:
    """ "536..9000 bytes", or "" where every value will do."""
    rule = rule_of(field)
    if not rule.HasField("min"):
        return ""
    if is_duration(field):
        low, high = (duration_text(ms * NS_PER_MS) for ms in (rule.min, rule.max))
        return f"{low}..{high} in steps of {duration_text(rule.step * NS_PER_MS)}"
    words = f"{rule.min}..{rule.max}" + (f" {rule.unit}" if rule.unit else "")
    return words + (", a power of two" if rule.power_of_two else "")


def field_words(field: FieldDescriptor) -> str:
    """The rule as the last line of the field's comment says it; "" where there is no rule."""
    rule = rule_of(field)
    if rule.output_only:
        return "Output only."
    value = ["required" if rule.required else "", range_words(field)]
    if rule.HasField("default"):
        value.append(f"default {rule.default}")
    parts = [", ".join(filter(None, value)), APPLY_WORDS.get(rule.apply, "")]
    sentence = "; ".join(filter(None, parts))
    return sentence[:1].upper() + sentence[1:] + "." if sentence else ""
