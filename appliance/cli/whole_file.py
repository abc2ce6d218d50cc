"""A file that is written whole or not at all."""

import os
import tempfile
from pathlib import Path


def file_write(file: Path, text: str, *, replace: bool) -> None:
    """For its owner alone to read.  Raises FileExistsError where it is there and isn't to be
    replaced; OSError."""
    descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    written = Path(name)
    try:
        with open(descriptor, "w") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        if replace:
            written.replace(file)
        else:
            file.hardlink_to(written)
    finally:
        written.unlink(missing_ok=True)
