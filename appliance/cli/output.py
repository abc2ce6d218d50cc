"""How results are written: as a table for people, as JSON or YAML of the message for programs."""

import json
from collections.abc import Sequence

import click
import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

format_option = click.option(
    "-o", "--output", type=click.Choice(["table", "json", "yaml"]), default="table",
    show_default=True, help="How to write the result.",
)


def message_text(message: Message, output: str) -> str:
    """`output` is "json" or "yaml"; both have the schema's names."""
    fields = MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    if output == "json":
        return json.dumps(fields)
    return yaml.safe_dump(fields, sort_keys=False, explicit_start=True).rstrip("\n")


def table_text(head: Sequence[str], rows: Sequence[Sequence[object]], numbers: int = 0) -> str:
    """Columns by their widest cell; the last `numbers` columns are flush right."""
    cells = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    first_number = len(head) - numbers
    lines = []
    for row in cells:
        padded = [
            cell.rjust(width) if at >= first_number else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(padded).rstrip())
    return "\n".join(lines)
