"""The configuration file while the daemon runs: when it changes, and what was made of it.

It is looked at once a second (stat(2)), with no watch of the kernel's: an editor that puts another
file in its place, Kubernetes, which turns a symbolic link two folders above, and a network's file
system are all alike then.  It is read once it has stayed the same from one look to the next, so
that nobody's half-written file is.
"""

import os
import time
from dataclasses import dataclass, field
from pathlib import Path

from synproxy.v1.config_pb2 import Config
from synproxy.v1.revision_pb2 import Difference

from appliance.config.load import ConfigError, config_load
from appliance.management.differences import restart_differences

DIFFERENCES_SHOWN = 10
REASON_LINES_MAX = 50

Stamp = tuple[int, int, int, int] | None


class FileRefusedError(Exception):
    """Nothing of it was taken; one line for each reason."""


@dataclass
class FileState:
    """What became of the file when it was last looked at."""

    path: Path
    reason: str = ""            # why it wasn't taken; "" where it was
    read_s: float = field(default_factory=time.time)        # since 1970
    taken_s: float = field(default_factory=time.time)       # when it was last taken
    taken_total: int = 0        # since start
    refused_total: int = 0

    @property
    def taken(self) -> bool:
        return not self.reason

    def took(self) -> None:
        self.read_s = self.taken_s = time.time()
        self.reason = ""
        self.taken_total += 1

    def refused(self, reason: str) -> None:
        self.read_s = time.time()
        lines = reason.splitlines()
        more = len(lines) - REASON_LINES_MAX
        self.reason = "\n".join(lines[:REASON_LINES_MAX] + ([f"{more} more"] if more > 0 else []))
        self.refused_total += 1


class ConfigFile:
    def __init__(self, path: Path, started: Config) -> None:
        """`started` is what it said when the daemon started."""
        self.state = FileState(path)
        self.started = started
        self._path = path
        self._seen = self._stamp()      # at the last look
        self._read = self._seen         # when it was read

    def changed(self) -> bool:
        """Looks at it.  True where it is another than was read, and the same as at the look
        before."""
        seen, self._seen = self._seen, self._stamp()
        return self._seen == seen != self._read

    def load(self) -> Config:
        """Raises FileRefusedError."""
        self._read = self._stamp()
        config = self.read()
        differences = restart_differences(self.started, config)
        if differences:
            raise FileRefusedError(restart_reason(differences))
        return config

    def read(self) -> Config:
        """Raises FileRefusedError where it isn't a configuration."""
        try:
            return config_load(self._path)
        except ConfigError as error:
            raise FileRefusedError(str(error)) from None
        except OSError as error:
            raise FileRefusedError(f"{self._path}: can't be read: {error.strerror}") from None

    def _stamp(self) -> Stamp:
        """Differs whenever the file does; None where there is none."""
        try:
            status = os.stat(self._path)
        except OSError:
            return None
        return status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size


def restart_reason(differences: list[Difference]) -> str:
    lines = [
        f"{one.field}: {one.before or 'unset'} -> {one.after or 'unset'} takes a restart"
        for one in differences[:DIFFERENCES_SHOWN]
    ]
    if len(differences) > DIFFERENCES_SHOWN:
        lines.append(f"{len(differences) - DIFFERENCES_SHOWN} more take a restart")
    return "\n".join((*lines, "nothing was applied: restart, or leave them as they run"))
