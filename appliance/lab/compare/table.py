"""What was measured, as a table: on a terminal, and in Markdown between two marks of a file."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from appliance.lab.compare.rows import Row
from appliance.lab.compare.stand import Measured

BEGIN, END = "<!-- make compare: begin -->", "<!-- make compare: end -->"
NOT_MEASURED = "-"
Cell = Mapping[int, Measured]           # by family; empty where the row has no meaning


def text(cell: Cell) -> str:
    """Both families in one text where they say the same."""
    if not cell:
        return NOT_MEASURED
    ipv4, *others = cell.items()
    return ipv4[1].value + "".join(f" (IPv{family}: {measured.value})" for family, measured in
                                   others if measured.value != ipv4[1].value)


def is_right(cell: Cell) -> bool:
    return all(measured.right for measured in cell.values())


def show(console: Console, names: Sequence[str],
         rows: Sequence[tuple[Row, Sequence[Cell]]]) -> None:
    table = Table(title="The same scripts through each", title_justify="left", show_lines=True)
    for heading in ("#", "case", *names, "right is"):
        table.add_column(heading)
    for row, cells in rows:
        table.add_row(row.number, row.case, *(_coloured(cell) for cell in cells), row.rule)
    console.print(table)


def _coloured(cell: Cell) -> str:
    if not cell:
        return NOT_MEASURED
    return f"[{'green' if is_right(cell) else 'red'}]{text(cell)}[/]"


def markdown(names: Sequence[str], rows: Sequence[tuple[Row, Sequence[Cell]]]) -> str:
    """A wrong value bears a cross, so that the table reads without colours."""
    lines = [_line("#", "case", *names, "right is"), _line(*["---"] * (len(names) + 3))]
    for row, cells in rows:
        lines.append(_line(row.number, row.case, *(_marked(cell) for cell in cells), row.rule))
    return "\n".join(lines) + "\n"


def _marked(cell: Cell) -> str:
    return text(cell) if is_right(cell) else f"✗ {text(cell)}"


def _line(*cells: str) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def around_block(file: Path) -> tuple[str, str]:
    """What stands before and after the file's two marks; ValueError where it has none."""
    before, begin, rest = file.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{file} has no line {BEGIN} followed by {END}")
    return before, after


def replace_block(file: Path, block: str) -> None:
    before, after = around_block(file)
    file.write_text(f"{before}{BEGIN}\n{block}{END}{after}")
