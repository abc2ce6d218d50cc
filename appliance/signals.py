"""The signals that end the daemon, and the one that has it take its file again: signal(7).

They stay blocked in every thread for the daemon's whole life and are taken one by one with
sigwait(3).  So none ever cuts through a start or a stop: one that comes early is met when the
daemon listens, a second one changes nothing.
"""

import asyncio
import signal
import threading
from collections.abc import Callable

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What `systemctl reload` sends, and a terminal that is closed.
RELOAD = signal.SIGHUP


def signals_hold() -> None:
    """From now on they wait.  Threads made later inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, RELOAD))


def signals_await(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, reload: Callable[[], None]
) -> None:
    """Sets `stop` on the first signal that ends the daemon; returns at once."""
    threading.Thread(
        target=_wait, args=(loop, stop, reload), name="signals", daemon=True).start()


def _wait(
    loop: asyncio.AbstractEventLoop, stop: asyncio.Event, reload: Callable[[], None]
) -> None:
    while signal.sigwait((*STOP_SIGNALS, RELOAD)) == RELOAD:
        loop.call_soon_threadsafe(reload)
    loop.call_soon_threadsafe(stop.set)
