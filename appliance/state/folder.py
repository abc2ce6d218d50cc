"""The folder of revisions: each is there whole or not at all.

    0000000041.revision     the whole of it
    0000000041.changes      those behind it that change one service, one behind the other

A whole one is written under another name, flushed (fsync), renamed, and the folder flushed:
rename(2) is atomic, and without the last step a power cut may undo it.  Changes are appended and
flushed, as many at once as there are; of one that is cut off in the middle its checksum tells.
Whoever appends says where, so that nothing is built upon what a failure has left behind.

What is read here may be anybody's work or a disk's: nothing of it is trusted, and what isn't a
revision is named and left alone.

The folder stays open, so that a path which leads elsewhere one day changes nothing.
"""

import errno
import fcntl
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from synproxy.v1.revision_pb2 import StoredRevision

from appliance.state.record import AnyRecord, DamagedError, RecordEncoder, stored_decode

FOLDER_MODE = 0o700
FILE_MODE = 0o600
# More than 131072 services take.
FILE_BYTES_MAX = 64 << 20

_NAME = re.compile(r"([0-9]{10})\.revision")
_CHANGES = re.compile(r"([0-9]{10})\.changes")
_UNFINISHED = re.compile(r"[0-9]{10}\.unfinished")
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


class FolderError(Exception):
    """It can't be used; the message says why and what to do."""


class Folder:
    def __init__(self, path: Path) -> None:
        """Makes it where it is missing.  Raises FolderError."""
        self.path = path
        self._encoder = RecordEncoder()
        try:
            self._fd = _made(path)
        except OSError as error:
            raise FolderError(f"{path}: {error.strerror}") from None
        try:
            self._check()
            self._clear()
        except (FolderError, OSError) as error:
            os.close(self._fd)
            reason = f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error)
            raise FolderError(reason) from None

    def close(self) -> None:
        os.close(self._fd)

    def numbers(self) -> list[int]:
        """Of all that are called revisions, whole or not, from the first on."""
        return self._numbers(_NAME)

    def bases(self) -> list[int]:
        """Behind which there are changes, likewise."""
        return self._numbers(_CHANGES)

    def foreign(self) -> list[str]:
        """The names of what isn't ours."""
        return sorted(name for name in self._names()
                      if not _NAME.fullmatch(name) and not _CHANGES.fullmatch(name))

    def read(self, number: int) -> tuple[StoredRevision, int]:
        """With its length in bytes.  Raises DamagedError, OSError."""
        content = self._content(file_name(number), "is no revision of synproxy")
        stored = stored_decode(content)
        if stored.revision.number != number:
            raise DamagedError(f"is revision {stored.revision.number} under another name")
        return stored, len(content)

    def write(self, record: AnyRecord) -> int:
        """Returns its length in bytes once it is on disk.  Raises OSError, and then it isn't there,
        or what was there before still is."""
        content = self._encoder.encode(record)
        _check_size(len(content))
        number = record.revision.number
        unfinished = f"{number:010}.unfinished"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            with open(os.open(unfinished, flags, FILE_MODE, dir_fd=self._fd), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.rename(unfinished, file_name(number), src_dir_fd=self._fd, dst_dir_fd=self._fd)
        except OSError:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=self._fd)
            raise
        os.fsync(self._fd)
        return len(content)

    def read_changes(self, base: int) -> bytes:
        """Raises DamagedError, OSError."""
        return self._content(changes_name(base), "holds no changes of synproxy")

    def append(self, base: int, length: int, content: bytes) -> None:
        """Behind `length` bytes, 0 where the file is to be made; returns once it is on disk.
        Raises OSError, and then the file has this length, unless the disk denies that as well."""
        _check_size(length + len(content))
        made = os.O_CREAT if length == 0 else 0
        try:
            with self._opened(base, os.O_APPEND | made) as fd:
                if os.fstat(fd).st_size != length:
                    os.ftruncate(fd, length)
                left = memoryview(content)
                while left:
                    left = left[os.write(fd, left):]
                os.fsync(fd)
            if made:
                os.fsync(self._fd)
        except OSError:
            with suppress(OSError):
                self.cut(base, length)
            raise

    def cut(self, base: int, length: int) -> None:
        """The changes behind so many bytes are no more; a file without any is removed.  Raises
        OSError."""
        if length == 0:
            self._unlink(changes_name(base))
            return
        with self._opened(base) as fd:
            os.ftruncate(fd, length)
            os.fsync(fd)

    def remove(self, number: int) -> None:
        """Again is no error.  Raises OSError."""
        self._unlink(file_name(number))

    def _unlink(self, name: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=self._fd)
        os.fsync(self._fd)

    @contextmanager
    def _opened(self, base: int, how: int = 0) -> Iterator[int]:
        flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC | how
        fd = os.open(changes_name(base), flags, FILE_MODE, dir_fd=self._fd)
        try:
            yield fd
        finally:
            os.close(fd)

    def _numbers(self, pattern: re.Pattern[str]) -> list[int]:
        return sorted(int(match[1]) for match in map(pattern.fullmatch, self._names()) if match)

    def _check(self) -> None:
        status = os.fstat(self._fd)
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & _OTHERS_WRITE:
            raise FolderError(
                f"{self.path}: others may write there, and so say what runs; it must be the owner's"
                f" alone: `chown {os.geteuid()} {self.path}; chmod 700 {self.path}`"
            )
        if not os.access(self.path, os.R_OK | os.W_OK | os.X_OK):
            read_only = os.statvfs(self._fd).f_flag & os.ST_RDONLY
            raise FolderError(
                f"{self.path}: " + ("is read-only" if read_only else "no right to write there"))
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FolderError(
                f"{self.path}: is in use by another synproxyd; each needs its own") from None

    def _clear(self) -> None:
        """What a daemon that was killed had not finished."""
        for name in self._names():
            if _UNFINISHED.fullmatch(name):
                os.unlink(name, dir_fd=self._fd)

    def _names(self) -> list[str]:
        return os.listdir(self._fd)

    def _content(self, name: str, otherwise: str) -> bytes:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        with open(os.open(name, flags, dir_fd=self._fd), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode) or status.st_size > FILE_BYTES_MAX:
                raise DamagedError(otherwise)
            return file.read(FILE_BYTES_MAX)


def _check_size(size: int) -> None:
    """What is longer would not be read again.  Raises OSError."""
    if size > FILE_BYTES_MAX:
        raise OSError(
            errno.EFBIG, f"a file of {size} bytes would be needed, {FILE_BYTES_MAX} are the most;"
            " have fewer services, or fewer prefixes and ports of them")


def _made(path: Path) -> int:
    """An open descriptor of it."""
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
    with suppress(FileExistsError):
        path.mkdir(mode=FOLDER_MODE)
        parent = os.open(path.parent, flags)
        try:
            os.fsync(parent)        # that it is there is to last as well
        finally:
            os.close(parent)
    return os.open(path, flags)


def file_name(number: int) -> str:
    return f"{number:010}.revision"


def changes_name(base: int) -> str:
    return f"{base:010}.changes"
