"""Counts of instructions by stage and case: which build they are of, and what has changed.

Kept in a file, they are the gate: a stage may not grow unnoticed.  They are of one compiler's
code, and so is the gate: GATE_COMPILER is that of CI (Debian 12).
"""

import json
import re
from dataclasses import asdict, dataclass, replace
from importlib import metadata
from pathlib import Path

from elftools.elf.elffile import ELFFile

GATE_COMPILER = "gcc 12"
LIMIT = 0.05
# Between two compilers the same source differs by more than a change of it should pass with; a
# stage that has doubled is seen all the same.
OTHER_COMPILER_LIMIT = 0.5

# Stages that call what is built for several vectors.
OF_VECTORS = ("burst_verify", "burst_hash", "burst_prove")

# The start files of a module that clang has built are gcc's and name it, so clang comes first.
COMPILERS = {"clang": re.compile(rb"clang version (\d+)\."),
             "gcc": re.compile(rb"GCC: \([^)]*\) (\d+)\.")}


@dataclass(frozen=True)
class Counts:
    """`instructions`: case → stage → instructions a frame.  `vector`: the variant that ran, of
    those that are built (wire/vector)."""

    compiler: str
    cython: str
    vector: str
    instructions: dict[str, dict[str, float]]

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=1, sort_keys=True) + "\n")

    def only(self, words: str) -> "Counts":
        """Of cases that have `words` in their names."""
        return replace(self, instructions={
            case: stages for case, stages in self.instructions.items() if words in case})

    @classmethod
    def read(cls, path: Path) -> "Counts":
        return cls(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Comparison:
    """Lines for people.  `failures`: what grew, or is of one side only; `notes`: the rest."""

    failures: list[str]
    notes: list[str]


def compiler_of(module: Path) -> str:
    """What a built module says of its compiler, e.g. "gcc 12"."""
    with module.open("rb") as file:
        section = ELFFile(file).get_section_by_name(".comment")
        comment = section.data() if section else b""
    return compiler_named(comment)


def compiler_named(comment: bytes) -> str:
    """`comment`: an ELF file's section .comment."""
    for name, version in COMPILERS.items():
        if found := version.search(comment):
            return f"{name} {int(found[1])}"
    return "an unknown compiler"


def cython_version() -> str:
    return metadata.version("cython")


def compare(now: Counts, kept: Counts) -> Comparison:
    """`kept` is of the file, `now` of this build; what can't be compared is told in the notes."""
    limit = LIMIT if now.compiler == kept.compiler else OTHER_COMPILER_LIMIT
    failures, notes = one_sided(now, kept), differences(now, kept)
    for case, stage in sorted(pairs(now) & pairs(kept)):
        if now.vector != kept.vector and stage in OF_VECTORS:
            continue
        count, was = now.instructions[case][stage], kept.instructions[case][stage]
        line = (f"{stage} of {case}: {count:.1f} instructions a frame, {was:.1f} in the file, "
                f"{count / was - 1:+.1%}")
        if count > was * (1 + limit):
            failures.append(f"GREW    {line}")
        elif count < was * (1 - limit):
            notes.append(f"shrank  {line}")
    return Comparison(failures, notes)


def differences(now: Counts, kept: Counts) -> list[str]:
    """Of the builds, each with what it means for the comparison."""
    lines = []
    if now.compiler != kept.compiler:
        lines.append(
            f"ANOTHER COMPILER: the file is of {kept.compiler}, this build of {now.compiler}, so a "
            f"stage may take {OTHER_COMPILER_LIMIT:.0%} more; {LIMIT:.0%} is CI's to see")
    if now.vector != kept.vector:
        lines.append(
            f"NOT COMPARED: {', '.join(OF_VECTORS)}. The file is of {kept.vector}; here ran "
            f"{now.vector}")
    if now.cython != kept.cython:
        lines.append(f"another Cython: {kept.cython} in the file, {now.cython} here; what changed "
                     "may be its work")
    return lines


def one_sided(now: Counts, kept: Counts) -> list[str]:
    return [*(f"NEW     {stage} of {case}: not in the file"
              for case, stage in sorted(pairs(now) - pairs(kept))),
            *(f"GONE    {stage} of {case}: in the file alone"
              for case, stage in sorted(pairs(kept) - pairs(now)))]


def pairs(counts: Counts) -> set[tuple[str, str]]:
    return {(case, stage) for case, stages in counts.instructions.items() for stage in stages}
