"""Tells how far the daemon is: systemd by sd_notify(3), people on its two outputs."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from appliance.backlog import Backlog, write_whole

STATUS_CHARACTERS_MAX = 200      # a line of `systemctl status`


def notify(state: str, flags: int = 0) -> None:
    """`state` is a line of sd_notify(3), or several; without systemd nothing happens.  `flags` are
    send(2)'s."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.sendto(state.encode(), flags, address.replace("@", "\0", 1))


def notify_alive() -> None:
    """Where the service has WatchdogSec=, systemd restarts it unless it hears this so often."""
    if "WATCHDOG_USEC" in os.environ:
        with suppress(OSError):
            notify("WATCHDOG=1", socket.MSG_DONTWAIT)   # the proxy waits for no listener


def notify_reloading() -> None:
    """`systemctl reload` of a service with Type=notify-reload waits from here on ..."""
    with suppress(OSError):
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        notify(f"RELOADING=1\nMONOTONIC_USEC={now_us}")


def notify_running(reason: str) -> None:
    """... until this; `systemctl status` shows the reason, where it failed."""
    shown = f"reload failed: {' '.join(reason.split())}" if reason else "running"
    with suppress(OSError):
        notify(f"READY=1\nSTATUS={shown[:STATUS_CHARACTERS_MAX]}")


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
