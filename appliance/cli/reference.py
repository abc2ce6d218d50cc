"""proto/README.md: the reference of the configuration file and the API, out of the descriptors.

    python -P -m appliance.cli.reference > proto/README.md
"""

from collections.abc import Iterator
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
        if file.name in schema_comments():
            blocks.append(_prose(schema_comments()[file.name]) + "\n")
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
        if method.full_name in schema_comments():
            yield _prose(schema_comments()[method.full_name]) + "\n"


def _message(message: Any) -> Iterator[str]:
    yield f"### {message.name}\n"
    if message.full_name in schema_comments():
        yield _prose(schema_comments()[message.full_name]) + "\n"
    rows = [
        f"| `{field.name}` | {_type(field)} | {_cell(schema_comments().get(field.full_name, ''))} |"
        for field in fields_of(message)
    ]
    if rows:
        yield "\n".join(["| field | type | meaning |", "|---|---|---|", *rows]) + "\n"
    for enum in message.enum_types:
        yield from _enum(enum)


def _enum(enum: Any) -> Iterator[str]:
    yield f"### {enum.name}\n"
    if enum.full_name in schema_comments():
        yield _prose(schema_comments()[enum.full_name]) + "\n"
    rows = [
        f"| `{value.name}` | {_cell(schema_comments().get(f'{enum.full_name}.{value.name}', ''))} |"
        for value in enum.values if value.number
    ]
    yield "\n".join(["| value | meaning |", "|---|---|", *rows]) + "\n"


def _type(field: Any) -> str:
    kind = field.message_type or field.enum_type
    word = type_word(field)
    ours = kind is not None and kind.file.package == config_pb2.DESCRIPTOR.package
    if not ours or word.startswith("map<"):
        return word.replace("<", "&lt;")
    return word.replace(kind.name, _link(kind))


def _link(kind: Any) -> str:
    return f"[{kind.name}](#{kind.name.lower()})"


def _prose(comment: str) -> str:
    """A comment's lines as paragraphs; each "CODE: when" a line of its own."""
    return "\n".join(
        f"- {line}" if line.split(":")[0].isupper() and ":" in line else line
        for line in comment.replace("<", "&lt;").splitlines()
    )


def _cell(comment: str) -> str:
    return " ".join(comment.split()).replace("|", "\\|").replace("<", "&lt;")


if __name__ == "__main__":
    print(reference(), end="")
