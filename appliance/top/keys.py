"""Keys out of the bytes that a terminal sends, as xterm and its kin write them (ECMA-48 §5.4)."""

import re
import time

# Longer than the bytes of one key are apart, shorter than anyone waits for Esc.
_KEY_S = 0.1

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
        self._fed_s = 0.0

    @property
    def patience_s(self) -> float | None:
        """How long to wait for the rest of a sequence; None where none is under way."""
        return max(self._fed_s + _KEY_S - time.monotonic(), 0.0) if self._rest else None

    def feed(self, some: bytes) -> list[str]:
        """The keys that are complete; unknown ones are left out."""
        self._fed_s = time.monotonic()
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
        """Those that are complete because nothing more came in time."""
        if self.patience_s != 0:
            return []
        alone, self._rest = self._rest == ESCAPE, b""
        return ["escape"] if alone else []
