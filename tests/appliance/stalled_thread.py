"""A thread of another process, held by ptrace(2) while the rest of its process goes on.

Where its process ends meanwhile, it does so once who holds the thread has taken note of that one's
end.
"""

import ctypes
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PTRACE_PEEKTEXT = 1
PTRACE_PEEKUSER = 3
PTRACE_POKETEXT = 4
PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000       # waitpid(2): threads, too
STEP_S = 0.005
RIP_BYTES = 16 * 8      # sys/user.h: struct user_regs_struct
JUMP_TO_ITSELF = 0xFEEB     # jmp -2, in the order of memory


class Held:
    """It makes no step from `since_s` on, by time.monotonic()."""

    def __init__(self, thread_id: int) -> None:
        self.thread_id = thread_id
        self.since_s = time.monotonic()
        self.ended_s: float | None = None       # after that, where it has ended

    def await_end(self, *, seconds: float) -> None:
        """Raises TimeoutError."""
        while self.ended_s is None:
            ended, _ = os.waitpid(self.thread_id, WALL | os.WNOHANG)
            now_s = time.monotonic()
            if ended:
                self.ended_s = now_s - self.since_s
            elif now_s - self.since_s > seconds:
                raise TimeoutError(f"thread {self.thread_id} hasn't ended in {seconds:g} s")
            else:
                time.sleep(STEP_S)


@contextmanager
def stalled(thread_id: int) -> Iterator[Held]:
    """It makes no step in here.  Raises OSError."""
    _ptrace(PTRACE_SEIZE, thread_id)
    try:
        _ptrace(PTRACE_INTERRUPT, thread_id)
        os.waitpid(thread_id, WALL)
        held = Held(thread_id)
        yield held
    finally:
        try:
            _ptrace(PTRACE_DETACH, thread_id)
        except ProcessLookupError:      # it has ended, or is about to
            with suppress(ChildProcessError):       # which has been noted
                os.waitpid(thread_id, WALL)


def circle(thread_id: int, within: str) -> None:
    """From now on it makes the same step again and again: the next one that it would have made in
    a library with this in its name jumps to itself.  x86-64 alone; no other thread may come by."""
    while True:
        with stalled(thread_id):
            at = _ptrace(PTRACE_PEEKUSER, thread_id, RIP_BYTES)
            if within in _mapped(thread_id, at):
                there = _ptrace(PTRACE_PEEKTEXT, thread_id, at)
                _ptrace(PTRACE_POKETEXT, thread_id, at, there & ~0xFFFF | JUMP_TO_ITSELF)
                return


def _mapped(thread_id: int, address: int) -> str:
    """The file that lies there."""
    for line in Path(f"/proc/{thread_id}/maps").read_text().splitlines():
        begin, end = (int(edge, 16) for edge in line.split()[0].split("-"))
        if begin <= address < end:
            return line.split()[-1]
    return ""


def _ptrace(request: int, thread_id: int, address: int = 0, word: int = 0) -> int:
    """What it reads, if anything."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.restype = ctypes.c_long
    ctypes.set_errno(0)
    read = libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread_id),
                       ctypes.c_void_p(address), ctypes.c_void_p(word & (1 << 64) - 1))
    if number := ctypes.get_errno():
        raise OSError(number, os.strerror(number))
    return int(read)
