"""What a run has laid, on disk, so that a later run can remove what a crash left behind.

One file a lab.  Its owner holds an flock(2) on it for as long as it lives; the kernel gives the
lock up with the owner, however it ended.  So a record that can be locked belongs to nobody:
its namespaces, the processes in them and its directory are removed.  Unlike a pid in a file,
a lock can't be mistaken for a newer process with the same number.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from appliance.lab.namespace import NAMED, Namespace

RECORDS = Path("/run/synproxy-lab")


@dataclass
class Record:
    """One lab's name and scratch directory; `lock` is held while it is ours."""

    id: str
    directory: Path
    lock: IO[str]

    def namespace(self, role: str, cores: Collection[int] = ()) -> Namespace:
        return Namespace(f"synlab-{self.id}-{role}", cores)

    def release(self) -> None:
        """Remove all that this lab laid, then the record itself."""
        for path in list(NAMED.glob(f"synlab-{self.id}-*")):
            Namespace(path.name).remove()
        shutil.rmtree(self.directory, ignore_errors=True)
        (RECORDS / f"{self.id}.json").unlink(missing_ok=True)
        self.lock.close()


def claim() -> Record:
    """A record under a new name, locked before anyone else can see it."""
    RECORDS.mkdir(parents=True, exist_ok=True)
    name = f"{os.getpid()}-{secrets.token_hex(3)}"
    directory = Path(tempfile.gettempdir()) / f"synlab-{name}"
    unseen = RECORDS / f"{name}.new"
    lock = unseen.open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    json.dump({"pid": os.getpid(), "directory": str(directory)}, lock)
    lock.flush()
    unseen.rename(RECORDS / f"{name}.json")
    directory.mkdir(mode=0o755)
    return Record(name, directory, lock)


def sweep() -> list[str]:
    """Remove what dead owners left; returns the ids of their labs."""
    swept = []
    for path in RECORDS.glob("*.json"):
        with contextlib.suppress(BlockingIOError, FileNotFoundError):
            lock = path.open()
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another sweep may have removed the file between our open and our lock.
            if path.exists():
                directory = Path(json.load(lock)["directory"])
                Record(path.stem, directory, lock).release()
                swept.append(path.stem)
    return swept
