"""What the daemon does beside serving, kept going.

A mistake of ours in it ends neither it nor the proxy: it is told, counted, and begun again, later
with each time that it fails at once.
"""

import asyncio
import sys
import time
import traceback
from collections.abc import Awaitable, Callable, Mapping

from appliance.notify import say

AGAIN_S = 1.0           # until it begins again; doubles with each failure
AGAIN_S_MAX = 60.0      # what has gone on for longer begins with AGAIN_S anew


class Supervision:
    def __init__(self) -> None:
        self._failures: dict[str, int] = {}

    @property
    def failures(self) -> Mapping[str, int]:
        """Since start, by the name of the task; each that was ever kept is there."""
        return self._failures

    def keep(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """A task that goes on with `work` until it is cancelled, or `work` returns."""
        self._failures.setdefault(name, 0)
        return asyncio.create_task(self._keep(name, work), name=name)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        again_s = AGAIN_S
        while True:
            began_s = time.monotonic()
            try:
                return await work()
            except Exception:
                self._failures[name] += 1
                if time.monotonic() - began_s > AGAIN_S_MAX:
                    again_s = AGAIN_S
                say(f"synproxyd: {name} begins again after:\n{traceback.format_exc()}", sys.stderr)
            await asyncio.sleep(again_s)
            again_s = min(2 * again_s, AGAIN_S_MAX)
