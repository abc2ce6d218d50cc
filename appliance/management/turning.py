"""Whether each worker goes on turning: one that polls no port loses its part of the traffic.

Here it is told, in the log, as an event, by health and metrics, and counted.  What ends the daemon
by it is the data plane's watchdog, which goes on whatever holds this thread; each of the two looks
after the other.

It is looked at so often, and counted in looks: a daemon that was stopped as a whole and goes on is
not taken for one whose workers are stuck.
"""

import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from appliance.notify import say
from appliance.worker_events import RESUMED, STALLED
from cython_core.dataplane import Event, WatchdogState, WorkerState

LOOK_S = 0.5
STUCK_LOOKS = 2         # in a row without a turn, which are 1 s: a turn takes microseconds


class Plane(Protocol):
    """What of the data plane this module uses."""

    def worker_states(self) -> list[WorkerState]: ...
    def watchdog_state(self) -> WatchdogState: ...
    def beat(self, on: bool) -> None: ...


class Turning:
    def __init__(self, plane: Plane, tell: Callable[[Event], None]) -> None:
        self._plane = plane
        self._tell = tell
        self._turns: dict[int, int] = {}        # by lcore, when last looked at
        self._still: dict[int, int] = {}        # looks since
        self._watchdog = WatchdogState(looks=-1, control_stalls=0)
        self._watchdog_still = 0
        self.stuck: Sequence[int] = ()          # lcores
        self.stalls: Counter[int] = Counter()   # since start, by lcore

    @property
    def watched(self) -> bool:
        return self._watchdog_still < STUCK_LOOKS

    @property
    def control_stalls(self) -> int:
        """How often this thread was held, since start."""
        return self._watchdog.control_stalls

    def look(self) -> None:
        """To be called every LOOK_S."""
        self._plane.beat(True)
        for worker in self._plane.worker_states():
            turned = self._turns.get(worker.lcore) != worker.turns
            self._still[worker.lcore] = 0 if turned else self._still[worker.lcore] + 1
            self._turns[worker.lcore] = worker.turns
        former, self.stuck = self.stuck, [
            lcore for lcore, looks in self._still.items() if looks >= STUCK_LOOKS]
        for lcore in self.stuck:
            if lcore not in former:
                self.stalls[lcore] += 1
                self._tell(_event(STALLED, lcore))
                say(f"synproxyd: the worker on core {lcore} is stuck: it has made no turn for"
                    f" {STUCK_LOOKS * LOOK_S:g} s", sys.stderr)
        for lcore in former:
            if lcore not in self.stuck:
                self._tell(_event(RESUMED, lcore))
                say(f"synproxyd: the worker on core {lcore} goes on", sys.stderr)
        self._look_at_watchdog()

    def end(self) -> None:
        """No look comes any more."""
        self._plane.beat(False)

    def _look_at_watchdog(self) -> None:
        was_watched = self.watched
        former, self._watchdog = self._watchdog, self._plane.watchdog_state()
        still = former.looks == self._watchdog.looks
        self._watchdog_still = self._watchdog_still + 1 if still else 0
        if was_watched and not self.watched:
            say("synproxyd: the watchdog is stuck: no worker that is would end the daemon",
                sys.stderr)
        if self._watchdog.control_stalls > former.control_stalls:
            say("synproxyd: the control thread goes on", sys.stderr)


def _event(reason: str, lcore: int) -> Event:
    """Of no connection, and none is ever passed over."""
    return Event(
        time_ns=time.time_ns(), reason=reason, slot=None, lcore=lcore, client=None, client_port=0,
        server=None, server_port=0, from_client=False, flags=0, passed_over=0)
