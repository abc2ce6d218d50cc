"""A terminal for a full-screen program: taken in `with`, and given back as it was whatever happens.

Signals don't interrupt: they are events, as keys are, and wake who waits for one.
"""

import os
import select
import signal
import socket
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from rich.console import Console

from appliance.top.keys import Keys

_ENDS = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
_SIGNALS = (signal.SIGINT, *_ENDS, signal.SIGWINCH, signal.SIGTSTP, signal.SIGCONT)
_WOKEN = b"\0"      # no signal's number
# DEC private mode 2026, synchronized output: a terminal that knows it shows nothing between them;
# one that doesn't passes over both.
_HELD, _SHOWN = "\x1b[?2026h", "\x1b[?2026l"


class Terminal:
    """Events are names of keys and signals: "q", "page up", signal.SIGWINCH."""

    def __init__(self, console: Console, keyboard: int) -> None:
        """`keyboard` is a file descriptor of the terminal that `console` writes to."""
        self._console = console
        self._keyboard = keyboard
        self._keys = Keys()
        self._own = False
        self._wakes, self._waker = socket.socketpair()
        for end in (self._wakes, self._waker):
            end.setblocking(False)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Ends by the signal that ended the loop, once the terminal is given back."""
        self._before = termios.tcgetattr(self._keyboard)
        handlers = {number: signal.signal(number, _noted) for number in _SIGNALS}
        former = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)
        try:
            self._take()
            yield
        finally:
            self._give_back()
            signal.set_wakeup_fd(former)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """What is written meanwhile is shown at once, no half of it before."""
        self._console.file.write(_HELD)
        try:
            yield
        finally:
            with suppress(OSError):     # the terminal has gone
                self._console.file.write(_SHOWN)
                self._console.file.flush()

    def wake(self) -> None:
        """Ends the wait of `events`; from any thread."""
        with suppress(BlockingIOError):     # full: it is awake
            self._waker.send(_WOKEN)

    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        size = os.get_terminal_size(self._console.file.fileno())
        return size.columns, size.lines

    def events(self) -> list[str | signal.Signals]:
        """What has happened since; waits for something."""
        ends: list[int | socket.socket] = [self._keyboard, self._wakes]
        ready, _, _ = select.select(ends, [], [], self._keys.patience_s)
        found: list[str | signal.Signals] = []
        if self._wakes in ready:
            numbers = set(self._wakes.recv(4096)) - set(_WOKEN)
            found += sorted(signal.Signals(number) for number in numbers)
        if self._keyboard in ready:
            found += self._typed()
        found += self._keys.settle()
        return self._kept(found)

    def _typed(self) -> list[str | signal.Signals]:
        with suppress(OSError):
            some = os.read(self._keyboard, 4096)
            if some:
                return [*self._keys.feed(some)]
        return [signal.SIGHUP]      # the terminal has gone, if the signal didn't say so

    def _kept(self, found: list[str | signal.Signals]) -> list[str | signal.Signals]:
        """Deals with a stop and its end, of which the loop need only know to draw."""
        if signal.SIGTSTP in found:
            self._give_back()
            former = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            os.kill(os.getpid(), signal.SIGTSTP)
            signal.signal(signal.SIGTSTP, former)
        if signal.SIGCONT in found or signal.SIGTSTP in found:
            self._take()
        return found

    def _take(self) -> None:
        self._own = True
        # Ctrl-C and Ctrl-Z stay signals.
        tty.setcbreak(self._keyboard, termios.TCSANOW)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)

    def _give_back(self) -> None:
        if not self._own:
            return
        self._own = False
        with suppress(OSError, termios.error):      # the terminal has gone, its state with it
            # First what can't wait for a reader.
            termios.tcsetattr(self._keyboard, termios.TCSANOW, self._before)
            # A key that is a signal has the kernel drop what isn't shown yet (termios(3): NOFLSH),
            # the end of a picture, too.
            self._console.file.write(_SHOWN)
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)


def fatal(event: str | signal.Signals) -> bool:
    return event in _ENDS


def _noted(number: int, _frame: FrameType | None) -> None:
    """Python writes the number where set_wakeup_fd says, if there is a handler.  Where nobody reads
    what is written, nothing notes the first; so the second ends the program."""
    if number in _ENDS:
        signal.signal(number, signal.SIG_DFL)
