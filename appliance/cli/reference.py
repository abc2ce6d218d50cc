"""proto/README.md: the reference of the configuration file and the API, out of the descriptors.

    python -P -m appliance.cli.reference > proto/README.md
"""

from collections.abc import Iterator, Sequence
from typing import Any

from google.protobuf.descriptor_pool import Default
from synproxy.v1 import config_pb2

from appliance.cli.comments import schema_comments, schema_files, type_word
from appliance.config.schema import fields_of
from appliance.management.roles import declared_role, role_word

HEAD = """\
# Reference of synproxy.v1

The schema in this folder is that of the configuration file, of the gRPC API and of `synproxy`;
`make reference` writes this page from it. `synproxy explain` shows the same on the terminal, for
example `synproxy explain services.options.mss`. The YAML file is the JSON form of
[Config](#config).
"""


def reference() -> str:
    blocks = [HEAD]
    for file in schema_files().values():
        blocks += [f"## {file.name.removeprefix('synproxy/v1/')}\n"]
        blocks += _comment(file.name)
        pool: Any = Default()
        descriptor = pool.FindFileByName(file.name)
        for service in descriptor.services_by_name.values():
            blocks += _service(service)
        for message in descriptor.message_types_by_name.values():
            blocks += _message(message)
        for enum in descriptor.enum_types_by_name.values():
            blocks += _enum(enum)
    return "\n".join(blocks).rstrip("\n") + "\n"


def _service(service: Any) -> Iterator[str]:
    yield f"### {service.name}\n"
    for method in service.methods:
        stream = "stream of " if method.server_streaming else ""
        yield (
            f"#### {service.name}.{method.name}\n\n"
            f"{_link(method.input_type)} → {stream}{_link(method.output_type)};"
            f" for the role **{role_word(declared_role(method))}**\n"
        )
        yield from _comment(method.full_name)


def _message(message: Any) -> Iterator[str]:
    yield f"### {message.name}\n"
    yield from _comment(message.full_name)
    rows = [
        (f"`{field.name}`", _type(field), _cell(field.full_name)) for field in fields_of(message)]
    yield from _table(("field", "type", "meaning"), rows)
    for enum in message.enum_types:
        yield from _enum(enum)


def _enum(enum: Any) -> Iterator[str]:
    yield f"### {enum.name}\n"
    yield from _comment(enum.full_name)
    rows = [
        (f"`{value.name}`", _cell(f"{enum.full_name}.{value.name}"))
        for value in enum.values if value.number
    ]
    yield from _table(("value", "meaning"), rows)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    if rows:
        lines = [f"| {' | '.join(cells)} |" for cells in (head, *rows)]
        lines.insert(1, "|---" * len(head) + "|")
        yield "\n".join(lines) + "\n"


def _type(field: Any) -> str:
    kind = field.message_type or field.enum_type
    word = type_word(field)
    ours = kind is not None and kind.file.package == config_pb2.DESCRIPTOR.package
    if not ours or word.startswith("map<"):
        return word.replace("<", "&lt;")
    return word.replace(kind.name, _link(kind))


def _link(kind: Any) -> str:
    return f"[{kind.name}](#{kind.name.lower()})"


def _comment(name: str) -> Iterator[str]:
    """Its lines as paragraphs; each "CODE: when" a line of its own."""
    comment = schema_comments().get(name)
    if comment:
        yield "\n".join(
            f"- {line}" if line.split(":")[0].isupper() and ":" in line else line
            for line in comment.replace("<", "&lt;").splitlines()) + "\n"


def _cell(name: str) -> str:
    comment = schema_comments().get(name, "")
    return " ".join(comment.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(reference(), end="")
