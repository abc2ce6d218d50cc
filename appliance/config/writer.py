"""A configuration as the YAML file that reads back as the same."""

from typing import Any

import yaml
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from appliance.config.schema import is_group, rule_of
from appliance.config.values import value_text


def config_text(message: Message) -> str:
    """What is set, in the schema's order."""
    text: str = yaml.dump(
        _plain(message), Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=None,
        width=100, allow_unicode=True,
    )
    return text


def _plain(message: Message) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    fields = [
        (field, value) for field, value in message.ListFields() if not rule_of(field).output_only]
    for field, value in fields:
        plain[field.name] = (
            [_value(field, one) for one in value] if field.is_repeated else _value(field, value))
    return plain


def _value(field: FieldDescriptor, value: Any) -> Any:
    if is_group(field):
        return _plain(value)
    if field.message_type is not None or field.enum_type is not None:
        return value_text(field, value)
    return value
