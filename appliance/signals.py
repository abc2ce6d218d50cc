"""The signals that end the daemon, and the one that has it take its file again: signal(7).

They stay blocked in every thread for the daemon's whole life and are taken one by one with
sigwait(3).  So none ever cuts through a start or a stop: one that comes early is met when the
daemon listens.
"""

import asyncio
import signal
import threading
from collections.abc import Callable
from contextlib import suppress

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What `systemctl reload` sends, and a terminal that is closed.
RELOAD = signal.SIGHUP


def signals_hold() -> None:
    """From now on they wait.  Threads made later inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, RELOAD))


def signals_await(
    loop: asyncio.AbstractEventLoop, stop: Callable[[int], None],
    reload: Callable[[], None],
) -> None:
    """Has `loop` call `stop` with each signal that ends the daemon; returns at once."""
    threading.Thread(
        target=_wait, args=(loop, stop, reload), name="signals", daemon=True).start()


def _wait(
    loop: asyncio.AbstractEventLoop, stop: Callable[[int], None],
    reload: Callable[[], None],
) -> None:
    with suppress(RuntimeError):        # the loop has ended, which is what they ask for
        while True:
            how = signal.sigwait((*STOP_SIGNALS, RELOAD))
            if how == RELOAD:
                loop.call_soon_threadsafe(reload)
            else:
                loop.call_soon_threadsafe(stop, how)
