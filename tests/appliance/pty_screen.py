"""A program on a terminal of its own, and what stands on its screen."""

import fcntl
import os
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import TracebackType

import pyte
import pytest

WITHIN_S = 20
END = b"\x04"       # end of transmission: no terminal shows it
HELD, SHOWN = b"\x1b[?2026h", b"\x1b[?2026l"       # DEC private mode 2026, synchronized output


def rest_of(master: int) -> bytes:
    """What comes until nobody has the terminal any more: each write may come by itself."""
    written = b""
    with suppress(OSError):     # EIO: it has ended
        while some := os.read(master, 4096):
            written += some
    return written


class PtyScreen:
    """`lines` is the screen as it was when last waited for, `written` all that was ever sent."""

    def __init__(
        self, command: Sequence[str], columns: int = 80, lines: int = 24,
        env: Mapping[str, str] | None = None,
    ) -> None:
        self._master, self.terminal = self._open = list(os.openpty())
        self._screen = pyte.Screen(columns, lines)
        self._stream = pyte.ByteStream(self._screen)
        self.written = b""
        self._held = b""
        self._set_size(columns, lines)
        self.before = termios.tcgetattr(self.terminal)
        # setsid makes it the controlling terminal, whose Ctrl-C and new size are signals.
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *command], stdin=self.terminal, stdout=self.terminal,
            stderr=self.terminal, env={**os.environ, "TERM": "xterm-256color", **(env or {})},
        )

    def __enter__(self) -> "PtyScreen":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.hang_up()

    @property
    def lines(self) -> list[str]:
        return [line.rstrip() for line in self._screen.display]

    def press(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def resize(self, columns: int, lines: int) -> None:
        self._screen.resize(lines, columns)
        self._set_size(columns, lines)

    def hang_up(self) -> None:
        """As a terminal that is closed."""
        while self._open:
            os.close(self._open.pop())

    def until(self, what: str | Callable[[list[str]], bool]) -> list[str]:
        """Reads on until it holds, or a line has the text."""
        deadline = time.monotonic() + WITHIN_S
        while not self._holds(what):
            if time.monotonic() > deadline:
                pytest.fail(f"never came: {what}; instead:\n" + "\n".join(self.lines))
            self._read(0.1)
        return self.lines

    def settle(self, seconds: float) -> list[str]:
        """Reads on for so long."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self._read(0.05)
        return self.lines

    def ended(self) -> int:
        """Its return code, as subprocess has it."""
        deadline = time.monotonic() + WITHIN_S
        while self.process.poll() is None:
            if time.monotonic() > deadline:
                pytest.fail("it doesn't end; on the screen:\n" + "\n".join(self.lines))
            self._read(0.05)
        self._read_to_the_end()
        assert self.process.returncode is not None
        return self.process.returncode

    def _holds(self, what: str | Callable[[list[str]], bool]) -> bool:
        lines = self.lines
        return any(what in line for line in lines) if isinstance(what, str) else what(lines)

    def _read(self, patience_s: float) -> None:
        if select.select([self._master], [], [], patience_s)[0]:
            some = os.read(self._master, 65536)
            self.written += some
            self._show(some)

    def _read_to_the_end(self) -> None:
        """The kernel brings what was written piece by piece; the mark comes behind all of it."""
        while select.select([self._master], [], [], 0)[0]:      # makes room for the mark
            self._read(0)
        os.write(self.terminal, END)
        while not self.written.endswith(END):
            self._read(WITHIN_S)
        self.written = self.written.removesuffix(END)

    def _show(self, some: bytes) -> None:
        """Holds back what a program says is unfinished, as terminals do."""
        some = self._held + some
        begun = some.rfind(HELD)
        if begun < 0:
            begun = next((len(some) - n for n in range(len(HELD) - 1, 0, -1)
                          if some.endswith(HELD[:n])), len(some))
        elif SHOWN in some[begun:]:
            begun = len(some)
        self._stream.feed(some[:begun])
        self._held = some[begun:]

    def _set_size(self, columns: int, lines: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
