"""What DPDK says by itself, said as the daemon's own lines are.

Whichever thread says something writes it: a worker that finds no buffers, the loop that asks a port
which is gone.  Behind a stalled reader none of them is to wait.
"""

import os
import sys
import threading

from appliance.notify import say
from cython_core.dataplane import log_to


def overhear() -> None:
    """From now on.  Lines for which the pipe has no room are lost: who empties it waits for nobody
    either."""
    heard, told = os.pipe()
    os.set_blocking(told, False)
    log_to(told)
    threading.Thread(target=_pass_on, args=(heard,), name="dpdk log", daemon=True).start()


def _pass_on(heard: int) -> None:
    with open(heard, errors="replace") as lines:
        for line in lines:
            say(line.rstrip("\n"), sys.stderr)
