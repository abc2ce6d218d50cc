"""What is said and not yet written, so that who says it waits for nobody who reads.

Behind a full pipe or socket write(2) waits until its reader goes on.  A thread does that here, line
by line in their order.  What waits is bounded; of what is beyond, a line tells how many were lost,
where they would have been.
"""

import os
import threading
from collections import deque
from contextlib import suppress

BYTES_MAX = 1 << 20     # from then on lines are lost
END_S = 1.0             # in which a reader may still take what waits


class Backlog:
    def __init__(self) -> None:
        self._lines: deque[tuple[int, bytes]] = deque()     # the first is being written
        self._bytes = 0
        self._lost = 0      # behind the last of them
        self._ended = False
        self._changed = threading.Condition()
        # A daemon's: no reader is to keep the program from its end.
        self._writer = threading.Thread(target=self._write, name="log", daemon=True)
        self._writer.start()

    def add(self, output: int, line: bytes) -> None:
        """`output` is a descriptor.  Returns at once."""
        with self._changed:
            if self._bytes >= BYTES_MAX:
                self._lost += 1
                return
            self._tell_lost(output)
            self._append(output, line)

    def end(self) -> None:
        """Nothing is added any more.  Returns once all is written, or END_S later."""
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._writer.join(END_S)

    def _append(self, output: int, line: bytes) -> None:
        self._lines.append((output, line))
        self._bytes += len(line)
        self._changed.notify()

    def _tell_lost(self, output: int) -> None:
        if self._lost:
            told = (f"synproxyd: warning: {self._lost} lines of the log are lost here: its reader"
                    " didn't take them in time\n")
            self._lost = 0
            self._append(output, told.encode())

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._lines or self._ended)
                if not self._lines:
                    return
                output, line = self._lines[0]
            write_whole(output, line)
            with self._changed:
                self._lines.popleft()
                self._bytes -= len(line)
                if not self._lines:
                    self._tell_lost(output)


def write_whole(output: int, line: bytes) -> None:
    """A closed pipe or a full disk behind it is no reason to stop a proxy."""
    with suppress(OSError):
        while line:
            line = line[os.write(output, line):]
