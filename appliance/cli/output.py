"""How results are written: as a table for people, as JSON or YAML of the message for programs."""

import json
import sys
from collections.abc import Collection, Sequence
from shutil import get_terminal_size
from typing import Any

import click
import yaml
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

format_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table",
    show_default=True, help="How to write the result.",
)


def message_text(message: Message, output: str) -> str:
    """`output` is "json" or "yaml"; both have the schema's names."""
    fields = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    return fields_text(fields, output)


def fields_text(fields: Any, output: str) -> str:
    """The same of what is no message."""
    if output == "json":
        return json.dumps(fields)
    return str(yaml.safe_dump(fields, sort_keys=False, explicit_start=True)).rstrip("\n")


def moment_text(time: Timestamp) -> str:
    """Whole seconds, in UTC: RFC 3339."""
    return f"{time.ToDatetime():%Y-%m-%dT%H:%M:%SZ}"


def applied_text(generation: int, apply_time: Duration) -> str:
    """How a change ends."""
    took_ms = apply_time.ToNanoseconds() / 1e6
    return f"all workers run generation {generation} after {took_ms:.1f} ms"


def table_text(
    head: Sequence[str], rows: Sequence[Sequence[object]], numbers: Collection[int] = (),
    prose: bool = False,
) -> str:
    """Columns by their widest cell; those that `numbers` has the index of are flush right.  With
    `prose` a terminal that is too narrow cuts the last column off, rather than wrap it."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    room = None
    if prose and sys.stdout.isatty():
        room = max(get_terminal_size().columns, sum(widths[:-1]) + 2 * len(widths))
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if at in numbers else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip()[:room])
    return "\n".join(lines)
