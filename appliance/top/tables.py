"""The lists as tables: for each a head, and the cells of a row."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.table import Column, Table
from rich.text import Text

from appliance.top.blocks import meter
from appliance.top.headline import DROPS_PPS, Level, fill_level
from appliance.top.look import Look
from appliance.top.view import ORDERS, View
from appliance.top.words import percent, short

STYLES = {Level.GOOD: "green", Level.WARN: "yellow", Level.BAD: "bold red"}
ZERO = "dim"
_METER = 8      # columns of a meter


@dataclass(frozen=True)
class Cells:
    """A column."""

    head: str
    cell: Callable[[Any], Text]
    width: int = 0          # 0: what the others leave
    number: bool = False
    least: int = 0          # shown on terminals of so many columns


def table(columns: Sequence[Cells], rows: Sequence[Any], width: int) -> Table:
    """One line for its head and one for each row, whatever is in them."""
    columns = [one for one in columns if width >= one.least]
    shown = Table(
        *(Column(one.head, width=one.width or None, ratio=None if one.width else 1,
                 justify="right" if one.number else "left", no_wrap=True, overflow="ellipsis")
          for one in columns),
        box=None, expand=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold underline",
    )
    for row in rows:
        shown.add_row(*(one.cell(row) for one in columns))
    return shown


def rows_of(section: str, look: Look, view: View) -> Sequence[Any]:
    if section == "services":
        return view.sorted(look)
    rows: Sequence[Any] = getattr(look, section)
    return rows


def columns_of(section: str, view: View, plain: bool) -> list[Cells]:
    if section == "services":
        return [_marked(one, view, plain) for one in _SERVICES]
    if section == "workers":
        return _workers(plain)
    return {"drops": _DROPS, "ports": _PORTS, "mempools": _mempools(plain)}[section]


def _marked(column: Cells, view: View, plain: bool) -> Cells:
    """Says in the head of the column that is sorted by which way it is."""
    if ORDERS[view.order] != ("name" if column.head == "SERVICE" else column.head):
        return column
    return replace(column, head=f"{column.head}{view.arrow(plain)}")


def _rate(value: float, style: str = "") -> Text:
    return Text(short(value), style=style if value else ZERO)


def _dropped(value: float) -> Text:
    return _rate(value, STYLES[Level.BAD] if value >= DROPS_PPS else "")


def _lost(count: int) -> Text:
    return _rate(count, STYLES[Level.BAD])


def _filled(share: float, plain: bool) -> Text:
    return Text(f"{meter(share, _METER, plain)} {percent(share):>7}",
                style=STYLES[fill_level(share)])


_SERVICES = [
    Cells("SERVICE", lambda row: Text(row.name)),
    Cells("cookies", lambda row: Text("on" if row.cookies else "off",
                                      style="" if row.cookies else ZERO), 7),
    Cells("SYNs/s", lambda row: _rate(row.syns), 8, True),
    Cells("proved/s", lambda row: _rate(row.proved), 9, True),
    Cells("opened/s", lambda row: _rate(row.opened), 9, True, least=80),
    Cells("drops/s", lambda row: _dropped(row.dropped), 8, True),
    Cells("connections", lambda row: _rate(row.connections), 12, True, least=70),
    Cells("refused/s", lambda row: _rate(row.refused, STYLES[Level.WARN]), 9, True, least=100),
    Cells("silent/s", lambda row: _rate(row.silent, STYLES[Level.WARN]), 8, True, least=100),
    Cells("SYNs", lambda row: _rate(row.total), 8, True, least=110),
    Cells("dropped most for", lambda row: Text(row.reason), 20, least=130),
]

_DROPS: list[Cells] = [
    Cells("DROPPED", lambda row: Text(row.reason), 18),
    Cells("rate/s", lambda row: _dropped(row.rate), 8, True),
    Cells("in all", lambda row: _rate(row.total), 8, True),
    Cells("meaning", lambda row: Text(row.meaning, style=ZERO)),
]

_PORTS: list[Cells] = [
    Cells("PORT", lambda row: Text(row.role), 10),
    Cells("link", lambda row: Text("up") if row.link_up else Text("down", STYLES[Level.BAD]), 4),
    Cells("received/s", lambda row: _rate(row.received), 10, True),
    Cells("bit/s", lambda row: _rate(row.received_bits), 7, True, least=80),
    Cells("sent/s", lambda row: _rate(row.sent), 7, True),
    Cells("bit/s", lambda row: _rate(row.sent_bits), 7, True, least=80),
    Cells("rx lost", lambda row: _lost(row.received_lost), 7, True),
    Cells("tx lost", lambda row: _lost(row.sent_lost), 7, True),
    Cells("device", lambda row: Text(row.device, style=ZERO)),
]


def _workers(plain: bool) -> list[Cells]:
    return [
        Cells("WORKER", lambda row: Text(str(row.lcore)), 13),
        Cells("busy", lambda row: Text(f"{meter(row.busy, _METER, plain)} {percent(row.busy):>7}"),
              16),
        Cells("connections", lambda row: _filled(row.connections, plain), 16),
        Cells("half open", lambda row: _filled(row.half_open, plain), 16, least=70),
        Cells("frames/s", lambda row: _rate(row.frames), 8, True),
        Cells("turns/s", lambda row: _rate(row.turns), 8, True, least=100),
        Cells("not sent", lambda row: _lost(row.unsent), 8, True, least=90),
        Cells("", lambda row: Text("behind" if row.behind else "", STYLES[Level.WARN])),
    ]


def _mempools(plain: bool) -> list[Cells]:
    return [
        Cells("BUFFERS", lambda row: Text(row.name), 16),
        Cells("in use", lambda row: _filled(row.in_use / (row.size or 1), plain), 16),
        Cells("", lambda row: Text(f"{row.in_use:,} of {row.size:,}", style=ZERO)),
    ]
