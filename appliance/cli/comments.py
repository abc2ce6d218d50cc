"""The schema in words: its comments, which the build has kept with the descriptors, and types."""

from functools import cache
from importlib import import_module
from importlib.resources import files
from typing import Any

from google.protobuf.descriptor_pb2 import (
    FieldDescriptorProto,
    FileDescriptorProto,
    FileDescriptorSet,
)

from appliance.config.schema import fields_of

PACKAGE = "synproxy.v1"

# Numbers of fields in descriptor.proto: a location's path is one of them and an index, by turns.
_NESTED = {
    (FileDescriptorProto, 4): "message_type", (FileDescriptorProto, 5): "enum_type",
    (FileDescriptorProto, 6): "service",
}
_BELOW = {
    "DescriptorProto": {2: "field", 3: "nested_type", 4: "enum_type", 8: "oneof_decl"},
    "EnumDescriptorProto": {2: "value"},
    "ServiceDescriptorProto": {2: "method"},
}
_SYNTAX = 12    # the comment above `syntax` is that of the file


@cache
def schema_files() -> dict[str, FileDescriptorProto]:
    """By their path below proto/.  The default pool knows them all afterwards."""
    kept = files(PACKAGE).joinpath("schema.binpb").read_bytes()
    found = {file.name: file for file in FileDescriptorSet.FromString(kept).file}
    for name in found:
        import_module(name.replace("/", ".").replace(".proto", "_pb2"))
    return found


@cache
def schema_comments() -> dict[str, str]:
    """By the full name of what they stand above, or the path of a file; without their margin."""
    found = {}
    for file in schema_files().values():
        for location in file.source_code_info.location:
            name = _name(file, list(location.path))
            text = location.leading_comments or location.trailing_comments
            if name and text:
                lines = (line.removeprefix(" ") for line in text.rstrip().splitlines())
                found[name] = "\n".join(lines)
    return found


def _name(file: FileDescriptorProto, path: list[int]) -> str:
    """ "" for a location within a statement."""
    if path == [_SYNTAX]:
        return file.name
    holder: Any = file
    names = [file.package]
    for number, index in zip(path[::2], path[1::2], strict=False):
        member = _NESTED.get((type(holder), number)) or _BELOW.get(
            type(holder).__name__, {}).get(number)
        if member is None:
            return ""
        holder = getattr(holder, member)[index]
        names.append(holder.name)
    return ".".join(names) if len(path) % 2 == 0 and path else ""


def type_word(field: Any) -> str:
    """ "uint32", "list of string", "Marks", "map<string, uint64>"."""
    kind = field.message_type or field.enum_type
    if kind is None:
        word = FieldDescriptorProto.Type.Name(field.type).removeprefix("TYPE_").lower()
    elif field.message_type is not None and kind.GetOptions().map_entry:
        key, value = fields_of(kind)
        return f"map<{type_word(key)}, {type_word(value)}>"
    else:
        word = kind.full_name.removeprefix(f"{PACKAGE}.").removeprefix("google.protobuf.")
    return f"list of {word}" if field.is_repeated else word
