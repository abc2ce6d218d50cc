"""Instructions a frame of each stage, counted by valgrind and held against a kept file.

    python tests/bench/instructions.py [--write | --case WORDS] [--kept FILE]
                                       [--json FILE]

A count says the same on a busy machine and on an idle one, and after a change of 1 % in a
stage says just that; but it is not a time: what waits for memory counts as one instruction.
The bursts are those of instruction_cases.  A stage that takes over 5 % more than the kept file
says ends this with exit code 1; --write renews the file, where that is meant.
"""

import argparse
import pickle
import platform
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from callgrind import CallgrindError, callgrind_run
from cython_core.wire.vector import VECTORS
from instruction_cases import Case, cases
from instruction_counts import (
    GATE_COMPILER,
    Comparison,
    Counts,
    compare,
    compiler_of,
    cython_version,
)

from cython_core.proxy import burst

STAGES = ("parse", "admit", "verify", "hash", "match", "prove", "decide")
# The widest that valgrind knows; where the CPU has no AVX2, the narrowest.
VECTOR = "x86-64-v3" if "x86-64-v3" in VECTORS else VECTORS[0]
FUNCTION = "__pyx_f_11cython_core_5proxy_5burst_burst_"     # of a stage, as Cython names it in C
CALLER = "__pyx_pw_*Box_*run_stages"                        # the test door's method
DRIVER = Path(__file__).with_name("instruction_driver.py")
KEPT = Path(__file__).with_name("instructions.json")
RESULTS = Path("bench-results/instructions.json")
RENEW = "Where this is meant, renew the file and say why in the commit:\n" \
        "    .venv/bin/python tests/bench/instructions.py --write"


def main() -> int:
    given = arguments()
    try:
        counts = count([case for case in cases() if given.case in case.name])
    except CallgrindError as error:
        print(error, file=sys.stderr)
        return 2
    show(counts)
    counts.write(given.json)
    if not given.write:
        return tell(compare(counts, Counts.read(given.kept).only(given.case)))
    if counts.compiler != GATE_COMPILER:
        print(f"Not written: the file is of {GATE_COMPILER}, CI's compiler on Debian 12, and this "
              f"build is of {counts.compiler}.", file=sys.stderr)
        return 2
    counts.write(given.kept)
    print(f"\nwritten to {given.kept}")
    return 0


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--write", action="store_true", help="renew the kept file")
    either.add_argument("--case", metavar="WORDS", default="",
                        help="only cases with these words in their names")
    parser.add_argument("--kept", type=Path, default=KEPT,
                        help="what is compared with; default %(default)s")
    parser.add_argument("--json", type=Path, default=RESULTS,
                        help="where the figures are written; default %(default)s")
    return parser.parse_args()


def count(made: list[Case]) -> Counts:
    """CallgrindError: this machine can't, or a frame met another fate than its case says."""
    if platform.machine() != "x86_64":
        raise CallgrindError(f"counts are of x86-64; this is {platform.machine()}")
    if not made:
        raise CallgrindError("no case has these words in its name")
    with tempfile.NamedTemporaryFile() as file:
        file.write(pickle.dumps([asdict(case) for case in made]))
        file.flush()
        parts = callgrind_run(DRIVER, [file.name, VECTOR], CALLER,
                              [FUNCTION + stage for stage in STAGES])
    if len(parts) != len(made):
        raise CallgrindError(f"{len(parts)} parts of {len(made)} cases: is {CALLER} still the "
                             "name of the test door's method?")
    return Counts(
        compiler_of(Path(burst.__file__)), cython_version(),
        VECTOR,
        {case.name: by_stage(case, part) for case, part in zip(made, parts, strict=True)})


def by_stage(case: Case, inclusive: dict[str, int]) -> dict[str, float]:
    missing = [stage for stage in STAGES if FUNCTION + stage not in inclusive]
    if missing:
        raise CallgrindError(f"{case.name}: no call of burst_{missing[0]} was seen")
    return {f"burst_{stage}": round(inclusive[FUNCTION + stage] / case.frames, 2)
            for stage in STAGES}


def show(counts: Counts) -> None:
    width = max(map(len, counts.instructions))
    print(f"instructions a frame, by stage; {counts.compiler}, Cython {counts.cython}; "
          f"{counts.vector}")
    print(" " * width + "".join(f"{stage:>9}" for stage in (*STAGES, "all")))
    for case, stages in counts.instructions.items():
        figures = [*stages.values(), sum(stages.values())]
        print(f"{case:{width}}" + "".join(f"{figure:9.1f}" for figure in figures))


def tell(found: Comparison) -> int:
    print()
    for line in (*found.notes, *found.failures):
        print(line)
    if found.failures:
        print(RENEW)
        return 1
    if not found.notes:
        print("as in the file: no stage differs by over 5 %")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
