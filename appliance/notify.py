"""Tells how far the daemon is: systemd by sd_notify(3), people on its two outputs."""

import os
import socket
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from appliance.backlog import Backlog, write_whole

STATUS_CHARACTERS_MAX = 200      # a line of `systemctl status`
UNSENT_MAX = 4      # a reload's two, and the end; what is older tells nothing new

_unsent: deque[str] = deque(maxlen=UNSENT_MAX)


def notify(state: str) -> None:
    """`state` is a line of sd_notify(3), or several; without systemd nothing happens.  Returns at
    once: what systemd has no room for is sent with the next, or with the next beat."""
    _unsent.append(state)
    _send_waiting()


def notify_beat(alive: bool) -> None:
    """Comes every so often.  Where the service has WatchdogSec=, systemd restarts it unless it
    hears meanwhile that it is alive."""
    _send_waiting()
    if alive and not _unsent and "WATCHDOG_USEC" in os.environ:
        _sent("WATCHDOG=1")     # or never: once it is late it may not be true any more


def notify_reloading() -> None:
    """`systemctl reload` of a service with Type=notify-reload waits from here on ..."""
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notify(f"RELOADING=1\nMONOTONIC_USEC={now_us}")


def notify_running(reason: str) -> None:
    """... until this; `systemctl status` shows the reason, where it failed."""
    shown = f"reload failed: {' '.join(reason.split())}" if reason else "running"
    notify(f"READY=1\nSTATUS={shown[:STATUS_CHARACTERS_MAX]}")


def _send_waiting() -> None:
    while _unsent and _sent(_unsent[0]):
        _unsent.popleft()


def _sent(state: str) -> bool:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return True         # nobody wants to hear it
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), socket.MSG_DONTWAIT, address.replace("@", "\0", 1))
        return True
    return False


_backlog: Backlog | None = None


@contextmanager
def said_aside() -> Iterator[None]:
    """Meanwhile nobody who says something waits until it is written."""
    global _backlog
    _backlog = backlog = Backlog()
    try:
        yield
    finally:
        backlog.end()
        _backlog = None


def say(text: str, output: TextIO) -> None:
    """A line, or several, that people read, in the order in which they are said."""
    backlog = _backlog
    with suppress(OSError):
        write = backlog.add if backlog else write_whole
        write(output.fileno(), f"{text}\n".encode())
