"""How the two commands end: what a script may rely on."""

from enum import IntEnum


class ExitCode(IntEnum):
    OK = 0
    FAILED = 1        # something that none of the others names
    USAGE = 2         # the command line itself; click's own code
    NOT_FOUND = 3
    CONFLICT = 4
    INVALID = 5       # a configuration or a value that is out of its range
    UNAVAILABLE = 6   # the daemon doesn't answer, or the host lacks something
    DENIED = 7
    STALLED = 8       # of the daemon alone: a worker made no turn, and another start mends that
