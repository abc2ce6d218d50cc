"""The signals that end the daemon, and the one that doesn't: signal(7).

They stay blocked in every thread for the daemon's whole life and are taken one by one with
sigwait(3).  So none ever cuts through a start or a stop: one that comes early is met when the
daemon listens, a second one changes nothing.
"""

import asyncio
import signal
import sys
import threading

from appliance.notify import say

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# What a closed terminal and `systemctl reload` send.
IGNORED = signal.SIGHUP


def signals_hold() -> None:
    """From now on they wait.  Threads made later inherit it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, (*STOP_SIGNALS, IGNORED))


def signals_await(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Sets `stop` on the first signal that ends the daemon; returns at once."""
    threading.Thread(target=_wait, args=(loop, stop), name="signals", daemon=True).start()


def _wait(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    while signal.sigwait((*STOP_SIGNALS, IGNORED)) == IGNORED:
        say(
            "SIGHUP: nothing done; a changed file needs a restart, options of services change"
            " with `synproxy service set`",
            sys.stderr,
        )
    loop.call_soon_threadsafe(stop.set)
