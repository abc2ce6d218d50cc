"""Instructions that C functions take, as valgrind's callgrind counts them.

Counted is while one of the named functions runs, so neither the interpreter nor its start is in
it; each return of their caller ends a part.  Nothing is sampled and no clock is read: the same
program on the same bytes counts the same.

Reading list: Valgrind User Manual 3.19, §6.2.2 and §6.4 (toggle-collect, dump-after) and
"Callgrind Format Specification" (lines of a call: cfn, calls, then the inclusive cost).
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

# An ifunc's target: what the loader has picked for the CPU that valgrind shows.
CLONE = re.compile(r"fn=(synproxy_\w+_clones)\.(\w+)")


@dataclass(frozen=True)
class Part:
    """One run of the caller.  `inclusive`: instructions of each function that it has called,
    with all that this called in turn; `clones`: variants that ran, as (function, variant)."""

    inclusive: dict[str, int]
    clones: frozenset[tuple[str, str]]


class CallgrindError(RuntimeError):
    """It can't be counted here."""


def callgrind_run(script: Path, given: Path, caller: str, functions: Sequence[str]) -> list[Part]:
    """Parts in order, of `python script given`.  `functions` are counted; they are called by
    `caller`, where `*` is any part of a name.  CallgrindError: valgrind is missing, or the
    program failed."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "part"
        _run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}",
              "--compress-strings=no", f"--dump-after={caller}",
              *(f"--toggle-collect={name}" for name in functions),
              sys.executable, "-P", str(script), str(given)])
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


def part_read(text: Iterable[str], caller: str) -> Part:
    """`text`: lines of a profile, names in full."""
    inclusive: dict[str, int] = {}
    clones = set()
    function = callee = ""
    lines = iter(text)
    for line in lines:
        if found := CLONE.search(line):
            clones.add((found[1], found[2]))
        if line.startswith("fn="):
            function = line.removeprefix("fn=")
        elif line.startswith("cfn="):
            callee = line.removeprefix("cfn=")
        elif line.startswith("calls="):
            _position, instructions = next(lines).split()
            if fnmatchcase(function, caller):
                inclusive[callee] = inclusive.get(callee, 0) + int(instructions)
    return Part(inclusive, frozenset(clones))
