"""One capture: taken from the workers as it goes, and ended at its time or count, whether its
reader reads or not.

What the reader hasn't read is kept for it, up to a bound; beyond that nothing more is taken, so
that the workers' rings fill, and what finds no room in them is lost.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from cython_core.dataplane import CaptureFilter, Dataplane, DataplaneError

POLL_S = 0.02               # a worker's 1024 frames last as long at 50,000 a second
BEGIN_S = 1.0               # for the workers to have ended the capture before
UNREAD_BYTES_MAX = 8 << 20  # the whole of a capture that was told nothing of its bounds, and more
FRAME_BYTES = 200           # what a frame takes besides what is captured of it, about
PART_FRAMES = 1024          # that are read at once, at most

# Time in ns, side, whether it was sent, why it was dropped, its bytes, what is captured of them.
Frame = tuple[int, int, bool, str | None, int, bytes]


@dataclass(frozen=True)
class Part:
    frames: list[Frame]
    lost: int           # in all so far
    last: bool


class Recording:
    def __init__(self, dataplane: Dataplane, packets: int, holder: Callable[[], str]) -> None:
        """`holder` says who has the slot of the service that is captured: the name of that service
        at first.  Once it's another one, or nobody, the capture ends."""
        self.ended = False
        self._dataplane = dataplane
        self._left = packets
        self._holder = holder
        self._of = holder()
        self._unread: deque[Frame] = deque()
        self._unread_bytes = 0
        self._lost = 0
        self._lost_before = 0
        self._deadline_s = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._failure: DataplaneError | None = None
        self._arrived = asyncio.Event()

    async def begin(self, wanted: CaptureFilter, time_s: float) -> None:
        """Raises DataplaneError and TimeoutError."""
        patience_s = time.monotonic() + BEGIN_S
        while not self._dataplane.capture_begin(wanted):
            if time.monotonic() > patience_s:
                raise TimeoutError("a worker has not ended the capture before")
            await asyncio.sleep(POLL_S)
        _, self._lost_before = self._dataplane.captured()
        self._deadline_s = time.monotonic() + time_s
        self._look_later()

    async def read(self) -> Part:
        """Waits until there is something.  Raises DataplaneError."""
        if not (self._unread or self.ended):
            await self._arrived.wait()
        self._arrived.clear()
        frames = [self._unread.popleft() for _ in range(min(len(self._unread), PART_FRAMES))]
        self._unread_bytes -= sum(map(_kept_bytes, frames))
        if self._failure and not frames:
            raise self._failure
        return Part(frames, self._lost, self.ended and not (self._unread or self._failure))

    def end(self) -> None:
        if not self.ended:
            self.ended = True
            if self._timer is not None:
                self._timer.cancel()
            self._arrived.set()
            self._dataplane.capture_end()

    def give_up(self) -> None:
        """What is unread of one that has ended is lost to its reader, who is told."""
        self._lost += len(self._unread)
        self._unread.clear()

    def _look_later(self) -> None:
        wait_s = min(POLL_S, max(self._deadline_s - time.monotonic(), 0))
        self._timer = asyncio.get_running_loop().call_later(wait_s, self._look)

    def _look(self) -> None:
        over = time.monotonic() >= self._deadline_s or self._holder() != self._of
        try:
            if over or self._unread_bytes < UNREAD_BYTES_MAX:
                self._take()
        except DataplaneError as error:
            self._failure, over = error, True
        if over or self._left == 0:
            self.end()
        else:
            self._look_later()

    def _take(self) -> None:
        frames, lost = self._dataplane.captured()
        # Between one that has left and the next one the slot is nobody's for a while.
        if self._holder() not in (self._of, ""):
            frames = []
        del frames[self._left:]
        self._left -= len(frames)
        self._unread += frames
        self._unread_bytes += sum(map(_kept_bytes, frames))
        lost -= self._lost_before
        if frames or lost != self._lost:
            self._lost = lost
            self._arrived.set()


def _kept_bytes(frame: Frame) -> int:
    return len(frame[-1]) + FRAME_BYTES
