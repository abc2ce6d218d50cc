"""The whole picture: a look and a view, on so many columns and lines."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from appliance.config.duration import NS_PER_S, duration_text
from appliance.top.blocks import sparkline
from appliance.top.headline import Level, Statement
from appliance.top.history import PLOTS
from appliance.top.look import Look
from appliance.top.room import lines_shared
from appliance.top.tables import STYLES, columns_of, rows_of, table
from appliance.top.view import HELP, ORDERS, SECTIONS, View
from appliance.top.words import short

LEAST_COLUMNS, LEAST_LINES = 60, 15
_TWO_PLOTS = 100        # columns from which on two plots stand side by side
_TALL = 24              # lines from which on the headline may have more than one
_STATEMENTS = 3

_NOTHING = {
    "services": "There is no service: all frames are bridged.", "drops": "Nothing was dropped.",
    "workers": "There is no worker.", "ports": "There is no port.",
    "mempools": "There are no buffers.",
}


@dataclass(frozen=True)
class Size:
    columns: int
    lines: int
    plain: bool = False     # ASCII alone


@dataclass(frozen=True)
class Silence:
    """The daemon doesn't answer."""

    since_s: float          # seconds since 1970
    reason: str


def picture(look: Look, view: View, silence: Silence | None, size: Size) -> RenderableType:
    if size.columns < LEAST_COLUMNS or size.lines < LEAST_LINES:
        return Text(f"synproxy top needs {LEAST_COLUMNS} columns and {LEAST_LINES} lines; here are"
                    f" {size.columns} and {size.lines}. q quits.")
    above = [_title(look, view, size), *_headline(look, silence, size)]
    if view.help:
        return Group(*above, *_help())
    above += _plots(look, size)
    room = size.lines - len(above) - 1      # the foot
    lists, lines = _lists(look, view, size, room)
    filling = [Text("")] * (room - lines)
    return Group(*above, *lists, *filling, _foot(view, size.plain))


def _line(*parts: tuple[str, str]) -> Text:
    line = Text(no_wrap=True, overflow="ellipsis")
    for text, style in parts:
        line.append(text, style)
    return line


def _title(look: Look, view: View, size: Size) -> Text:
    uptime = duration_text(int(look.uptime_s) * NS_PER_S)
    line = _line(("synproxy top", "bold"), (f"  up {uptime}, generation {look.generation}", "dim"))
    if view.paused:
        line.append("  PAUSED, space goes on", "bold yellow")
    return line


def _headline(look: Look, silence: Silence | None, size: Size) -> list[Text]:
    statements = list(look.headline)
    if silence:
        since = time.strftime("%H:%M:%S", time.localtime(silence.since_s))
        statements.insert(0, Statement(
            Level.BAD, f"No answer since {since}, trying again: {silence.reason}"))
    allowed = _STATEMENTS if size.lines >= _TALL else 1
    lines = [_line((one.text, STYLES[one.level])) for one in statements[:allowed]]
    if len(statements) > allowed:
        # Where it can be seen, however long the statement before it is.
        more = f" (+{len(statements) - allowed} more)"
        lines[-1].truncate(size.columns - len(more), overflow="ellipsis")
        lines[-1].append(more, "dim")
    return lines


def _plots(look: Look, size: Size) -> list[Text]:
    names = list(PLOTS)
    if size.columns < _TWO_PLOTS:
        return [_plot(look, name, size.columns, size.plain) for name in names]
    width = (size.columns - 2) // 2
    half = len(names) // 2
    return [
        Text("  ").join(_plot(look, name, width, size.plain) for name in pair)
        for pair in zip(names[:half], names[half:], strict=True)
    ]


def _plot(look: Look, name: str, width: int, plain: bool) -> Text:
    """Its name, its last value, what was before it, and the highest of that."""
    points = look.plots[name]
    value, peak = (short(points[-1]), short(max(points))) if points else ("-", "-")
    before, after = f"{PLOTS[name]:<13} {value:>7} ", f" peak {peak:>7}"
    line = sparkline(points, width - len(before) - len(after), plain)
    return _line((before, "bold"), (line, "red" if name == "dropped" else "cyan"), (after, "dim"))


def _lists(
    look: Look, view: View, size: Size, room: int
) -> tuple[list[RenderableType], int]:
    """And how many lines they have."""
    rows = {section: rows_of(section, look, view) for section in SECTIONS}
    wanted = [1 + max(len(rows[section]), 1) for section in SECTIONS]
    shared = lines_shared(room, wanted, SECTIONS.index(view.section))
    shown: list[RenderableType] = []
    for section, lines in zip(SECTIONS, shared, strict=True):
        if not lines:
            continue
        part = view.shown(section, len(rows[section]), lines - 1)
        here = table(columns_of(section, view, size.plain), rows[section][part.start : part.stop],
                     size.columns)
        _name_part(here, part, len(rows[section]), section == view.section)
        shown.append(here)
        if not rows[section]:
            shown.append(_line((_NOTHING[section], "dim")))
    return shown, sum(shared)


def _name_part(here: Table, part: range, rows: int, chosen: bool) -> None:
    """In the list's head: from which of its rows on it is shown, where not all are."""
    head = f"{here.columns[0].header}"
    if len(part) < rows:
        head += f" {part.start + 1}/{rows}"
    here.columns[0].header = Text(head, style="reverse" if chosen else "")


def _foot(view: View, plain: bool) -> Text:
    """Names the column that is sorted by, which a narrow terminal may not show."""
    return _line((f"q quit  space {'go on' if view.paused else 'pause'}"
                  f"  s sort: {ORDERS[view.order]}{view.arrow(plain)}  Tab list  h keys", "dim"))


def _help() -> Iterator[Text]:
    yield Text("")
    for keys, words in HELP:
        yield _line((f"  {keys:<16}", "bold"), (words, ""))
