"""A disk that is soon full."""

import subprocess
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def small(folder: Path):
    """One of 128 KiB behind `folder`."""
    folder.mkdir()
    options = "size=128k,nr_inodes=100,mode=700"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """The file that fills it."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    return ballast
