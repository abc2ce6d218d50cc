"""The program: `python -P -m appliance.lab.compare --help`, as root.

Exits 0 only if synproxyd is right in every row and every difference is an intended one.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from rich.console import Console

from appliance.lab.compare import differential, table
from appliance.lab.compare.contestants import NftSynproxy, Refused, Synproxyd, contestants
from appliance.lab.compare.intended import INTENDED
from appliance.lab.compare.rows import ROWS, Row
from appliance.lab.compare.rules import Judgement
from appliance.lab.compare.scripts import scripts
from appliance.lab.compare.stand import Stand
from appliance.lab.compare.tournament import measure_all
from appliance.lab.namespace import require
from appliance.lab.program import lab_program

WIDTH = 150         # columns, also where the output is a file
COMMAND = "make compare"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m appliance.lab.compare",
                                     description="The same scripts through each contestant.")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--rows", type=rows_named, metavar="ROWS",
                      help="only these, as G1,G7; then no differential run")
    what.add_argument("--write", type=file_with_marks, metavar="FILE",
                      help="put the whole table between the two marks of this Markdown file")
    return parser.parse_args()


def rows_named(text: str) -> list[Row]:
    """In the table's order."""
    numbers = text.split(",")
    if unknown := set(numbers) - {row.number for row in ROWS}:
        raise argparse.ArgumentTypeError(f"no row is named {', '.join(map(repr, sorted(unknown)))}"
                                         f"; there are {ROWS[0].number} to {ROWS[-1].number}")
    return [row for row in ROWS if row.number in numbers]


def file_with_marks(text: str) -> Path:
    try:
        table.around_block(Path(text))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def main() -> int:
    given = arguments()
    console = Console()
    console.width = max(console.width, WIDTH)
    return lab_program(console, lambda: run(
        console, given.rows or ROWS, given.write, differs=not given.rows))


def run(console: Console, rows: Sequence[Row], file: Path | None, differs: bool) -> int:
    require("nft")          # contestants and rows alike call it
    with ExitStack() as stack:
        stands = enter(stack, console)
        cells = measure_all(stands, rows, lambda contestant, row, cell: console.print(
            f"{row.number:>4} {contestant.name:<17} {table.text(cell)}", markup=False))
        judgement = differ(console, stands) if differs else None
    names = [stand.contestant.name for stand in stands]
    measured = list(zip(rows, cells, strict=True))
    table.show(console, names, measured)
    if judgement:
        differential.show(console, judgement, INTENDED)
    if file:
        table.replace_block(file, block(table.markdown(names, measured), judgement))
    right = all(table.is_right(cell[names.index(Synproxyd.name)]) for cell in cells)
    return 0 if right and not (judgement and judgement.unexplained) else 1


def enter(stack: ExitStack, console: Console) -> list[Stand]:
    """A stand for each contestant that this machine has."""
    stands = []
    for contestant in contestants():
        try:
            stands.append(stack.enter_context(Stand(contestant)))
        except Refused as error:
            console.print(f"{contestant.name} is left out: {error}", markup=False)
    return stands


def differ(console: Console, stands: Sequence[Stand]) -> Judgement | None:
    raw = {stand.contestant.name: stand.raw for stand in stands}
    if NftSynproxy.name not in raw:
        console.print("The differential run is left out: there is no kernel to compare with.")
        return None
    console.print("the differential run ...")
    return differential.compare(raw[NftSynproxy.name], raw[Synproxyd.name], scripts(), INTENDED)


def block(markdown: str, judgement: Judgement | None) -> str:
    kernel = os.uname().release.split("-")[0]
    text = f"Measured by `{COMMAND}` on Linux {kernel}; ✗ marks what is not right.\n\n{markdown}"
    return text if judgement is None else f"{text}\n{differential.summary(judgement)}.\n"


if __name__ == "__main__":
    sys.exit(main())
