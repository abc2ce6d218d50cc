"""A thread of another process, held by ptrace(2) while the rest of its process goes on."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

PTRACE_DETACH = 17
PTRACE_SEIZE = 0x4206
PTRACE_INTERRUPT = 0x4207
WALL = 0x40000000       # waitpid(2): threads, too


@contextmanager
def stalled(thread_id: int) -> Iterator[None]:
    """It makes no step in here.  Raises OSError."""
    _ptrace(PTRACE_SEIZE, thread_id)
    try:
        _ptrace(PTRACE_INTERRUPT, thread_id)
        os.waitpid(thread_id, WALL)
        yield
    finally:
        _ptrace(PTRACE_DETACH, thread_id)


def _ptrace(request: int, thread_id: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread_id), None, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
