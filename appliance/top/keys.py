"""Keys out of the bytes that a terminal sends, as xterm and its kin write them (ECMA-48 §5.4)."""

import re

ESCAPE = b"\x1b"

# What follows ESC [ or ESC O.
_SEQUENCES = {
    b"A": "up", b"B": "down", b"5~": "page up", b"6~": "page down", b"H": "home", b"1~": "home",
    b"F": "end", b"4~": "end", b"Z": "back tab",
}
_KEY = re.compile(rb"\x1b(?:\[([0-9;?]*[@-~])|O([@-~]))|([\x00-\x1a\x1c-\x7f])|[^\x1b]", re.DOTALL)
_NAMES = {" ": "space", "\t": "tab", "\x03": "q", "\x1b": "escape"}


class Keys:
    """A sequence may come in pieces; only time tells a lone Esc from the begin of one."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def waiting(self) -> bool:
        return bool(self._rest)

    def feed(self, some: bytes) -> list[str]:
        """The keys that are complete; unknown ones are left out."""
        text, at, found = self._rest + some, 0, []
        while at < len(text):
            match = _KEY.match(text, at)
            if match is None:
                if text.startswith((b"\x1b[", b"\x1bO"), at) or text[at:] == ESCAPE:
                    break
                found.append("escape")      # and then something else
                at += 1
                continue
            at = match.end()
            bracketed, other, plain = match.groups()
            if plain:
                found.append(_NAMES.get(plain.decode(), plain.decode()))
            elif (bracketed or other) in _SEQUENCES:
                found.append(_SEQUENCES[bracketed or other])
        self._rest = text[at:]
        return found

    def settle(self) -> list[str]:
        """Nothing more came in time."""
        alone, self._rest = self._rest == ESCAPE, b""
        return ["escape"] if alone else []
