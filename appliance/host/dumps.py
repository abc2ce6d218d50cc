"""Keeps what this process knows out of dumps: prctl(2).

The keys of cookies and the private key of TLS lie in its memory, so that no core is written,
whatever core_pattern says, and no process without CAP_SYS_PTRACE may read its memory or attach a
debugger, not even one of the same user.
"""

import ctypes
import os

PR_GET_DUMPABLE = 3
PR_SET_DUMPABLE = 4


def dumps_forbid() -> None:
    """For the rest of the process's life.  Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def dumps_allowed() -> bool:
    return bool(ctypes.CDLL(None).prctl(PR_GET_DUMPABLE, 0, 0, 0, 0))
