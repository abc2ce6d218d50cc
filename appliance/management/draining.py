"""Whether the appliance drains, since when, and how far that is.

The policy is a part of the snapshot that the workers run, so that it reaches them as every change
does: see proxy/drain.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from synproxy.v1.system_service_pb2 import (
    DRAIN_POLICY_BRIDGE,
    DRAIN_POLICY_DROP,
    DRAIN_POLICY_UNSPECIFIED,
    DrainPolicy,
    DrainState,
)

from appliance.management.catalogue import Catalogue
from appliance.management.changes import change_note, fields_changed
from cython_core.dataplane import COOKIE_LIFE_S, Dataplane, WorkerState

_WORDS: Mapping[DrainPolicy, str] = {
    DRAIN_POLICY_UNSPECIFIED: "none", DRAIN_POLICY_BRIDGE: "bridge", DRAIN_POLICY_DROP: "drop",
}


@dataclass(frozen=True)
class _Began:
    """What was so when the drain began."""

    time_ns: int                # since 1970
    connections: int
    syns: int
    sweeps: list[int]           # of each worker: the look that was under way


class Draining:
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._policy: DrainPolicy = DRAIN_POLICY_UNSPECIFIED
        self._began: _Began | None = None

    async def drain(self, policy: DrainPolicy) -> None:
        """Returns once every worker does.  Raises what Catalogue.republish does."""
        await self._catalogue.republish(lambda: self._begin(policy))

    async def undrain(self) -> None:
        """Likewise."""
        await self._catalogue.republish(self._end)

    def state(self) -> DrainState:
        began, state = self._began, self._said()
        if began is None:
            return state
        state.start_time.FromNanoseconds(began.time_ns)
        state.handshakes_expire_time.FromNanoseconds(began.time_ns + COOKIE_LIFE_S * 10**9)
        state.connections_at_start = began.connections
        state.syns = self._syns() - began.syns
        workers = self._dataplane.worker_states()
        if all(worker.fill.look > sweep
               for worker, sweep in zip(workers, began.sweeps, strict=True)):
            state.connections = sum(map(_needing, workers))
            state.done = state.connections == 0
        return state

    def needed(self) -> bool:
        """Whether a connection may need us; one that has ended counts until a whole look through
        the tables since the drain began."""
        in_use = any(worker.fill.connections for worker in self._dataplane.worker_states())
        return in_use and not self.state().done

    def _begin(self, policy: DrainPolicy) -> Callable[[], None]:
        workers = self._dataplane.worker_states()
        began = self._began or _Began(
            time.time_ns(), sum(map(_needing, workers)), self._syns(),
            [worker.sweep for worker in workers])
        self._dataplane.drain(_WORDS[policy])
        return partial(self._remember, policy, began)

    def _end(self) -> Callable[[], None]:
        self._dataplane.drain("none")
        return partial(self._remember, DRAIN_POLICY_UNSPECIFIED, None)

    def _remember(self, policy: DrainPolicy, began: _Began | None) -> None:
        before = self._said()
        self._policy, self._began = policy, began
        change_note("system/drain", fields_changed(before, self._said()))

    def _said(self) -> DrainState:
        return DrainState(draining=self._began is not None, policy=self._policy)

    def _syns(self) -> int:
        """SYNs that no cookie answered."""
        return sum(
            worker.counters[name]
            for worker in self._dataplane.worker_stats() for name in ("syn_passed", "draining")
        )


def _needing(worker: WorkerState) -> int:
    """Connections that can't go on without us."""
    return worker.fill.opening + worker.fill.open
