"""The program: `python -P -m appliance.lab.compare --help`, as root."""

import argparse
import os
import signal
import sys
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from rich.console import Console

from appliance.lab.compare.contestants import Refused, contestants
from appliance.lab.compare.rows import ROWS
from appliance.lab.compare.stand import Stand
from appliance.lab.compare.table import markdown, replace_block, show, text
from appliance.lab.compare.tournament import measure_all

WIDTH = 150         # columns, also where the output is a file


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -P -m appliance.lab.compare",
                                     description="The same scripts through each contestant.")
    parser.add_argument("--rows", help="only these, as G1,G7")
    parser.add_argument("--write", type=Path, metavar="FILE",
                        help="put the table between the two marks of this Markdown file")
    return parser.parse_args()


def end(number: int, _frame: FrameType | None) -> None:
    sys.exit(128 + number)


def main() -> int:
    given = arguments()
    console = Console()
    console.width = max(console.width, WIDTH)
    if os.geteuid():
        console.print("The lab lays network namespaces: run it as root.")
        return 1
    # So that `with` takes the labs down where the run is told to end.
    signal.signal(signal.SIGTERM, end)
    rows = [row for row in ROWS if not given.rows or row.number in given.rows.split(",")]
    with ExitStack() as stack:
        stands = []
        for contestant in contestants():
            try:
                stands.append(stack.enter_context(Stand(contestant)))
            except Refused as error:
                console.print(f"[yellow]{contestant.name} is left out: {error}[/]")
        names = [stand.contestant.name for stand in stands]
        cells = measure_all(stands, rows, lambda contestant, row, cell: console.print(
            f"{row.number:>4} {contestant.name:<17} {text(cell)}"))
    measured = list(zip(rows, cells, strict=True))
    show(console, names, measured)
    if given.write:
        replace_block(given.write, markdown(names, measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
