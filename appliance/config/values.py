"""One value of a field, from its text and back: for YAML scalars, defaults and `service set`."""

import re

from google.protobuf.descriptor import EnumDescriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration

from appliance.config.duration import duration_ns, duration_parse, duration_text
from appliance.config.schema import enum_prefix, enum_words, is_duration

Value = int | bool | str | Duration

_INTEGERS = frozenset(
    (FieldDescriptor.TYPE_UINT32, FieldDescriptor.TYPE_UINT64,
     FieldDescriptor.TYPE_INT32, FieldDescriptor.TYPE_INT64)
)


def value_parse(field: FieldDescriptor, text: str) -> Value:
    """Raises ValueError with the reason.  The type is checked here, the range elsewhere."""
    if is_duration(field):
        return duration_parse(text)
    if field.enum_type is not None:
        return _enum_parse(field.enum_type, text)
    if field.type == FieldDescriptor.TYPE_BOOL:
        if text not in ("true", "false"):
            raise ValueError(f"must be true or false, not {text}")
        return text == "true"
    if field.type in _INTEGERS:
        return _integer_parse(text)
    return text


def value_text(field: FieldDescriptor, value: Value) -> str:
    """What value_parse reads back; of an enumeration's number that has no name, as only a request
    can have it, the number."""
    if isinstance(value, Duration):
        return duration_text(duration_ns(value))
    if field.enum_type is not None and isinstance(value, int):
        named = field.enum_type.values_by_number.get(value)
        return named.name.removeprefix(enum_prefix(field.enum_type)) if named else str(value)
    if field.type == FieldDescriptor.TYPE_BOOL:
        return "true" if value else "false"
    return str(value)


def _integer_parse(text: str) -> int:
    if re.fullmatch(r"-?0[0-9]+", text):
        raise ValueError(f"must be written without leading zeros, not {text}")
    if not re.fullmatch(r"-?[0-9]{1,20}", text):
        raise ValueError(f"must be a whole number in decimal digits, not {text or 'nothing'}")
    return int(text)


def _enum_parse(kind: EnumDescriptor, text: str) -> int:
    words = enum_words(kind)
    word = text.removeprefix(enum_prefix(kind))
    if word not in words:
        raise ValueError(f"must be {' or '.join(words)}, not {text}")
    number: int = kind.values_by_name[enum_prefix(kind) + word].number
    return number
