"""A child process, stopped after each of its instructions: where a kill may come, for ptrace(2).

The child stops itself twice, by SIGSTOP; what it does between is done an instruction at a time.
"""

import ctypes
import os
import signal
from collections.abc import Callable, Iterator

PTRACE_TRACEME, PTRACE_CONT, PTRACE_SINGLESTEP = 0, 7, 9    # sys/ptrace.h

_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def _ptrace(request: int, pid: int) -> None:
    if _libc.ptrace(request, pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def steps(work: Callable[[], object]) -> Iterator[None]:
    """After each instruction of what `work` does between its two stops, in a child of this process,
    which is killed when the caller has seen enough."""
    pid = os.fork()
    if pid == 0:
        try:
            _ptrace(PTRACE_TRACEME, 0)
            work()
        finally:
            os._exit(1)
    try:
        assert _stopped_by(pid) == signal.SIGSTOP
        _ptrace(PTRACE_SINGLESTEP, pid)
        while (how := _stopped_by(pid)) == signal.SIGTRAP:
            yield
            _ptrace(PTRACE_SINGLESTEP, pid)
        assert how == signal.SIGSTOP
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _stopped_by(pid: int) -> int:
    _, status = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(status), status
    return os.WSTOPSIG(status)
