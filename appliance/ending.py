"""How the daemon ends: SIGTERM gives connections the time to end before it.

    SIGTERM … not ready, new connections pass to the servers … none needs the proxy any more, or
    the grace is over … the end

SIGINT, and a second signal of either kind, is the end at once.
"""

import asyncio
import signal
import sys

from synproxy.v1.system_service_pb2 import DRAIN_POLICY_BRIDGE

from appliance.config.duration import NS_PER_S, duration_text
from appliance.management.change_errors import NotAcknowledgedError
from appliance.management.draining import Draining
from appliance.notify import say
from cython_core.dataplane import DataplaneError

LOOK_S = 0.1


class Ending:
    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self._at_once = asyncio.Event()

    def ask(self, how: int) -> None:
        if self.asked.is_set() or how == signal.SIGINT:
            self._at_once.set()
        self.asked.set()

    async def drain(self, draining: Draining, grace_s: int) -> None:
        """Returns once no connection needs the proxy, or nobody waits for that any longer."""
        if not grace_s or self._at_once.is_set() or not draining.needed():
            return
        say(f"synproxyd: ends when no connection needs it, in {duration_text(grace_s * NS_PER_S)}"
            " at the latest; SIGTERM again ends it at once", sys.stderr)
        waiting = [asyncio.create_task(_drained(draining)),
                   asyncio.create_task(self._at_once.wait())]
        await asyncio.wait(waiting, timeout=grace_s, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()


async def _drained(draining: Draining) -> None:
    """As somebody wants it who drains already."""
    try:
        if not draining.state().draining:
            await draining.drain(DRAIN_POLICY_BRIDGE)
        while draining.needed():
            await asyncio.sleep(LOOK_S)
    except (DataplaneError, NotAcknowledgedError) as error:
        say(f"synproxyd: ends without a drain: {error}", sys.stderr)
