"""YAML nodes into a message, by its descriptors; goes on after an error, to find all of them.

Unlike the JSON form of protobuf in general, one spelling is taken for each thing: the field's own
name, numbers without quotes, `true` and `false`.
"""

from difflib import get_close_matches
from functools import cache
from typing import Any

import yaml
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from synproxy.v1 import rule_pb2

from appliance.config.constraints import value_reason
from appliance.config.document import Position, mark_position
from appliance.config.schema import fields_of, is_duration, is_group, rule_of
from appliance.config.values import Value, value_parse
from appliance.config.violation import Violation, join

_TAG = "tag:yaml.org,2002:"
_NULL = _TAG + "null"
_TAG_WORDS = {
    _TAG + "bool": "a boolean",
    _TAG + "int": "a number",
    _TAG + "float": "a number",
    _TAG + "timestamp": "a date",
    _TAG + "merge": "a merge key",
    _TAG + "value": "a special value",
    _NULL: "no value",
}
_KNOWN_TAGS = {*_TAG_WORDS, _TAG + "str", _TAG + "seq", _TAG + "map"}
# Formats that no YAML type can be mistaken for: plain 443 or 0000:03:00.0 are welcome.
_SELF_EVIDENT = (
    rule_pb2.FORMAT_PREFIX, rule_pb2.FORMAT_PORT_RANGE, rule_pb2.FORMAT_PCI_ADDRESS,
)
UINT32_MAX = 0xFFFFFFFF

_MERGE = "<<"       # https://yaml.org/type/merge.html
_NO_VALUE = "has no value; give it one or remove the key"


class Reader:
    """Reads one document.

    `positions` holds where each path of the message stands, `refused` what was left out.
    """

    def __init__(self) -> None:
        self.positions: dict[str, Position] = {}
        self.refused: list[tuple[Position, Violation]] = []

    def read(self, node: yaml.Node, message: Message, path: str = "") -> None:
        """Fill `message` from `node`, leaving out what is wrong."""
        self.positions[path] = mark_position(node.start_mark)
        if not isinstance(node, yaml.MappingNode) or node.tag not in _KNOWN_TAGS:
            self._refuse(path, node, f"must be a mapping of keys to values, not {_kind(node)}")
            return
        seen: dict[str, int] = {}
        for key, value in node.value:
            field = self._field(key, message, path, seen)
            if field is None:
                continue
            where = join(path, field.name)
            if field.is_repeated:
                self._read_list(value, field, message, where)
            elif is_group(field) and _is_nothing(value):
                self._refuse(where, value, _NO_VALUE)
            elif is_group(field):
                getattr(message, field.name).SetInParent()
                self.read(value, getattr(message, field.name), where)
            else:
                self._read_value(value, field, message, where)

    def _refuse(self, path: str, node: yaml.Node, reason: str) -> None:
        self.refused.append((mark_position(node.start_mark), Violation(path, reason)))

    def _field(
        self, key: yaml.Node, message: Message, path: str, seen: dict[str, int]
    ) -> FieldDescriptor | None:
        """The field that a key names, or None and a violation."""
        name = key.value if isinstance(key, yaml.ScalarNode) else _kind(key)
        known = _settable(message.DESCRIPTOR)
        field = known.get(name)
        where = join(path, name)
        if field is None:
            self._refuse(where, key, f"unknown key; {_hint(name, list(known))}")
            return None
        if name in seen:
            self._refuse(where, key, f"stands twice, first in line {seen[name]}")
            return None
        seen[name] = mark_position(key.start_mark).line
        rivals = field.containing_oneof.fields if field.containing_oneof else ()
        for rival in rivals:
            if rival.name != name and rival.name in seen:
                self._refuse(where, key, f"excludes {rival.name}, which is set as well")
                return None
        return field

    def _read_list(
        self, node: yaml.Node, field: FieldDescriptor, message: Message, path: str
    ) -> None:
        self.positions[path] = mark_position(node.start_mark)
        if _is_nothing(node):
            self._refuse(path, node, _NO_VALUE)
            return
        if not isinstance(node, yaml.SequenceNode) or node.tag not in _KNOWN_TAGS:
            self._refuse(path, node, f"must be a list, not {_kind(node)}")
            return
        values = getattr(message, field.name)
        for index, item in enumerate(node.value):
            where = f"{path}[{index}]"
            if is_group(field):
                self.read(item, values.add(), where)
                continue
            # What can't be read leaves an empty place, so that the others keep their index.
            value = self._value(item, field, where)
            values.append(value if value is not None else _empty(field))

    def _read_value(
        self, node: yaml.Node, field: FieldDescriptor, message: Message, path: str
    ) -> None:
        value = self._value(node, field, path)
        if isinstance(value, Duration):
            getattr(message, field.name).CopyFrom(value)
        elif value is not None:
            setattr(message, field.name, value)

    def _value(self, node: yaml.Node, field: FieldDescriptor, path: str) -> Value | None:
        """The value of a node, or None and a violation."""
        self.positions[path] = mark_position(node.start_mark)
        try:
            value = value_parse(field, _scalar_text(node, field))
            # The rule's range lies within that of the wire's type, so it's the one to name.
            reason = value_reason(field, value)
        except ValueError as error:
            reason = str(error)
        if reason:
            self._refuse(path, node, reason)
            return None
        return value


@cache
def _settable(kind: Descriptor | Any) -> dict[str, FieldDescriptor]:
    return {field.name: field for field in fields_of(kind) if not rule_of(field).output_only}


def _scalar_text(node: yaml.Node, field: FieldDescriptor) -> str:
    """A scalar's text; ValueError where YAML would take it for something else."""
    if not isinstance(node, yaml.ScalarNode) or node.tag not in _KNOWN_TAGS:
        raise ValueError(f"must be a single value, not {_kind(node)}")
    text: str = node.value
    plain = not node.style
    if _is_nothing(node):
        raise ValueError(_NO_VALUE)
    if field.type == FieldDescriptor.TYPE_ENUM:
        return text                 # one of few words: OFF is no boolean among them
    if field.type == FieldDescriptor.TYPE_STRING:
        if plain and node.tag in _TAG_WORDS and rule_of(field).format not in _SELF_EVIDENT:
            word = _TAG_WORDS[node.tag]
            raise ValueError(f'plain {text} is {word} in YAML; write "{text}"')
    elif not plain and not is_duration(field):
        value_parse(field, text)        # of what is wrong without quotes, too, they are no matter
        raise ValueError(f"must be written without quotes: {text}")
    return text


def _hint(name: str, known: list[str]) -> str:
    if name == _MERGE:
        return "keys aren't merged, write them out"
    near = get_close_matches(name, known, n=1)
    return f"did you mean {near[0]}?" if near else f"known here: {', '.join(known)}"


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.style and node.tag == _NULL


def _kind(node: yaml.Node) -> str:
    if node.tag not in _KNOWN_TAGS:
        return f"the tag {node.tag}"
    if isinstance(node, yaml.MappingNode):
        return "a mapping"
    if isinstance(node, yaml.SequenceNode):
        return "a list"
    return "nothing" if _is_nothing(node) or not node.value else f"the single value {node.value}"


def _empty(field: FieldDescriptor) -> Value:
    """A value that equals no other that can be read, or counts as unset."""
    return "" if field.type == FieldDescriptor.TYPE_STRING else UINT32_MAX
