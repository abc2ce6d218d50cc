"""What the user has chosen: the order of the services, where the lists are scrolled to, a pause."""

from collections import Counter

from appliance.top.look import Look
from appliance.top.rates import ServiceRow

# What services are sorted by: the field, and its word in the table's head.
ORDERS = {
    "syns": "SYNs/s", "proved": "proved/s", "opened": "opened/s", "dropped": "drops/s",
    "connections": "connections", "name": "name",
}
SECTIONS = ("services", "drops", "workers", "ports", "mempools")

HELP = (
    ("q, Esc, Ctrl-C", "quit"),
    ("space", "pause, and go on"),
    ("s, r", "sort the services by the next column; the other way round"),
    ("Tab", "scroll the next list, which gets the room that there is"),
    ("up, down", "scroll by a line"),
    ("PgUp, PgDn", "scroll by what is in sight"),
    ("Home, End", "scroll to the first, the last"),
    ("h, ?", "show and hide the keys"),
)

_FAR = 1 << 30      # beyond the end of every list; drawing finds the last page


class View:
    def __init__(self) -> None:
        self.order = "syns"
        self.reverse = False
        self.section = SECTIONS[0]
        self.paused = False
        self.help = False
        self.ended = False
        self.first: Counter[str] = Counter()    # of each section, the row that is shown first
        self.page = 1                           # rows in sight of `section`, when last drawn

    def press(self, key: str) -> None:
        moves = {"up": -1, "down": 1, "page up": -self.page, "page down": self.page,
                 "home": -_FAR, "end": _FAR}
        if key in moves:
            self.first[self.section] = max(self.first[self.section] + moves[key], 0)
        elif key in ("tab", "back tab"):
            self.section = _after(SECTIONS, self.section, 1 if key == "tab" else -1)
        elif key == "s":
            self.order, self.reverse = _after(tuple(ORDERS), self.order), False
            self.first["services"] = 0
        elif key == "r":
            self.reverse = not self.reverse
        elif key == "space":
            self.paused = not self.paused
        elif key in ("h", "?"):
            self.help = not self.help
        elif key in ("q", "escape"):
            self.ended = True

    @property
    def descending(self) -> bool:
        return (self.order != "name") is not self.reverse

    def arrow(self, plain: bool) -> str:
        """Which way it is sorted; `plain` for terminals that know ASCII alone."""
        return ("v" if plain else "↓") if self.descending else ("^" if plain else "↑")

    def sorted(self, look: Look) -> list[ServiceRow]:
        """Those alike are by name, as the look has them."""
        return sorted(look.services, key=lambda row: getattr(row, self.order),
                      reverse=self.descending)

    def shown(self, section: str, rows: int, seen: int) -> range:
        """Which of `rows` are shown where `seen` have room; scrolls back what is too far."""
        self.first[section] = max(min(self.first[section], rows - seen), 0)
        if section == self.section:
            self.page = max(seen, 1)
        return range(self.first[section], min(self.first[section] + seen, rows))


def _after(names: tuple[str, ...], name: str, step: int = 1) -> str:
    return names[(names.index(name) + step) % len(names)]
