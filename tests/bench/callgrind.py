"""Instructions that C functions take, as valgrind's callgrind counts them.

Counted is while one of the named functions runs, so neither the interpreter nor its start is in
it; each return of their caller ends a part.  Nothing is sampled and no clock is read: the same
program on the same bytes counts the same.

Reading list: Valgrind User Manual 3.19, §6.2.2 and §6.4 (toggle-collect, dump-after) and
"Callgrind Format Specification" (lines of a call: cfn, calls, then the inclusive cost).
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path


class CallgrindError(RuntimeError):
    """It can't be counted here."""


def callgrind_run(script: Path, given: Sequence[str], caller: str,
                  functions: Sequence[str]) -> list[dict[str, int]]:
    """Of each run of `caller`, in order, the instructions of the functions that it has called, with
    all that these called in turn.  The program is `python script given...`; `functions` are
    counted, and `*` is any part of the caller's name.  CallgrindError: valgrind is missing, or the
    program failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part"
        _run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
              "--compress-strings=no", f"--dump-after={caller}",
              *(f"--toggle-collect={name}" for name in functions),
              sys.executable, "-P", str(script), *given])
        # The part without a number is what came after the last.
        parts = sorted(Path(folder).glob("part.*"), key=lambda path: int(path.suffix[1:]))
        return [part_read(path.read_text().splitlines(), caller) for path in parts]


def _run(command: Sequence[str]) -> None:
    try:
        # The order of a set or dict of strings is the same each time.
        done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"},
                              capture_output=True, text=True)
    except FileNotFoundError as error:
        raise CallgrindError("valgrind is not installed: `make setup` installs it") from error
    if done.returncode:
        raise CallgrindError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")


def part_read(text: Iterable[str], caller: str) -> dict[str, int]:
    """`text`: lines of a profile, names in full."""
    inclusive: dict[str, int] = {}
    function = callee = ""
    lines = iter(text)
    for line in lines:
        if line.startswith("fn="):
            function = line.removeprefix("fn=")
        elif line.startswith("cfn="):
            callee = line.removeprefix("cfn=")
        elif line.startswith("calls="):
            _position, instructions = next(lines).split()
            if fnmatchcase(function, caller):
                inclusive[callee] = inclusive.get(callee, 0) + int(instructions)
    return inclusive
