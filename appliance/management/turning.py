"""Whether each worker goes on turning: one that polls no port loses its part of the traffic.

It is looked at so often, and counted in looks: a daemon that was stopped as a whole and goes on is
not taken for one whose workers are stuck.
"""

import sys
from collections.abc import Sequence
from typing import Protocol

from appliance.notify import say
from cython_core.dataplane import WorkerState

LOOK_S = 0.5
STUCK_LOOKS = 4         # in a row without a turn, which are 2 s: a turn takes microseconds


class Plane(Protocol):
    """What of the data plane this module uses."""

    def worker_states(self) -> list[WorkerState]: ...


class Turning:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._turns: dict[int, int] = {}        # by lcore, when last looked at
        self._still: dict[int, int] = {}        # looks since
        self.stuck: Sequence[int] = ()          # lcores

    def look(self) -> None:
        """To be called every LOOK_S."""
        for worker in self._plane.worker_states():
            turned = self._turns.get(worker.lcore) != worker.turns
            self._still[worker.lcore] = 0 if turned else self._still[worker.lcore] + 1
            self._turns[worker.lcore] = worker.turns
        former, self.stuck = self.stuck, [
            lcore for lcore, looks in self._still.items() if looks >= STUCK_LOOKS]
        for lcore in self.stuck:
            if lcore not in former:
                say(f"synproxyd: the worker on core {lcore} is stuck: it has made no turn for"
                    f" {STUCK_LOOKS * LOOK_S:g} s", sys.stderr)
        for lcore in former:
            if lcore not in self.stuck:
                say(f"synproxyd: the worker on core {lcore} goes on", sys.stderr)
