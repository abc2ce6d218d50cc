"""How busy the workers were lately, and how few buffers were ever free: one look a second.

A worker counts its cycles and never forgets; what it did in the last seconds is what it has counted
more than in an earlier look.  So no turn of a worker costs anything for it, and a look that comes
late makes a window longer, and no figure wrong.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from cython_core.dataplane import MempoolState, WorkerState

LOOK_S = 1.0
WINDOWS_S = (1, 10, 60)


class Plane(Protocol):
    """What of the data plane this module uses."""

    def worker_states(self) -> list[WorkerState]: ...
    def mempool_states(self) -> list[MempoolState]: ...


@dataclass(frozen=True)
class Load:
    """A worker's, over the `span_s` that was looked at for a window."""

    window_s: int
    span_s: float
    busy: float                 # 0..1
    turns_per_s: float
    frames_per_s: float
    frames_per_burst: float     # 0: there was none
    handed_in_per_s: float
    handed_out_per_s: float
    share: float = 0.0          # 0..1: of the frames that all workers kept for themselves


class Samples:
    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        # By worker, oldest first: enough for the longest window.
        self._looks: deque[list[WorkerState]] = deque(maxlen=max(WINDOWS_S) + 1)
        self._free_min: dict[str, int] = {}

    async def run(self) -> None:
        """Without end."""
        while True:
            self.look()
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        self._looks.append(self._plane.worker_states())
        self.mempools()

    def mempools(self) -> list[tuple[MempoolState, int]]:
        """Each pool as it is now, and the fewest buffers that were ever seen free in it."""
        pools = self._plane.mempool_states()
        for pool in pools:
            free = pool.size - pool.in_use
            self._free_min[pool.name] = min(free, self._free_min.get(pool.name, free))
        return [(pool, self._free_min[pool.name]) for pool in pools]

    def workers(self) -> list[tuple[WorkerState, list[Load]]]:
        """Each worker as it is now, with its load over each of WINDOWS_S."""
        now = self._plane.worker_states()
        loads = [list(_loads(state, [look[at] for look in self._looks]))
                 for at, state in enumerate(now)]
        shared = [_shared(loads_of_window) for loads_of_window in zip(*loads, strict=True)]
        return list(zip(now, map(list, zip(*shared, strict=True)), strict=True))


def _loads(now: WorkerState, looks: Sequence[WorkerState]) -> Iterator[Load]:
    for window_s in WINDOWS_S:
        yield _load(now, _began(now, looks, window_s), window_s)


def _began(now: WorkerState, looks: Sequence[WorkerState], window_s: int) -> WorkerState | None:
    """The newest look that is as old as the window; the oldest one where none is; None: there was
    none, so that the window begins where the worker did."""
    old = [look for look in looks if now.cycles - look.cycles >= window_s * now.hz]
    return old[-1] if old else next(iter(looks), None)


def _load(now: WorkerState, then: WorkerState | None, window_s: int) -> Load:
    cycles, busy, turns, frames, bursts, handed_in, handed_out = (
        getattr(now, field) - (getattr(then, field) if then else 0)
        for field in ("cycles", "busy_cycles", "turns", "frames", "bursts", "handed_in",
                      "handed_out")
    )
    span_s = cycles / now.hz
    return Load(
        window_s, span_s,
        busy=busy / cycles if cycles else 0.0,
        turns_per_s=turns / span_s if cycles else 0.0,
        frames_per_s=frames / span_s if cycles else 0.0,
        frames_per_burst=frames / bursts if bursts else 0.0,
        handed_in_per_s=handed_in / span_s if cycles else 0.0,
        handed_out_per_s=handed_out / span_s if cycles else 0.0,
    )


def _shared(loads: Sequence[Load]) -> list[Load]:
    """All workers' loads of one window, each with its share."""
    # A worker's numbers are read one after the other, while it counts on.
    kept = [max(load.frames_per_s - load.handed_out_per_s, 0.0) for load in loads]
    return [replace(load, share=own / sum(kept)) if sum(kept) else load
            for load, own in zip(loads, kept, strict=True)]
