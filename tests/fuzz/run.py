"""Runs libFuzzer's program on all targets, two at a time, and says what came of it as a table.

    python tests/fuzz/run.py --build build/fuzz --executions 3e7

New inputs that reach further gather in <build>/inputs, one folder a target; `--merge` picks the few
of them that tests/fuzz/corpus should keep.  What is found is written to tests/fuzz/regressions,
which is run first from then on.  The exit code is 0 where nothing was found.

Of one seed the same inputs come of the same tree on the same processor: the kept ones are named in
order, and addresses, which libFuzzer remembers of comparisons, are the same each time.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
SHOWN = 40          # lines of what a finding says
HANGS_S = 120       # an input, by the wall's clock: what else runs may have the cores for long


@dataclass(frozen=True)
class Target:
    name: str
    share: float            # of all executions
    input_bytes: int        # of the longest input


# A whole engine's life takes far longer than a frame's: the shares take about the same time.
TARGETS = (
    Target("frame", 0.388, 256), Target("options", 0.40, 44), Target("quote", 0.20, 192),
    Target("engine", 0.012, 256),
)


@dataclass(frozen=True)
class Result:
    target: Target
    executions: int
    seconds: float
    coverage: int           # edges
    said: str               # of a finding, else empty

    def row(self) -> str:
        return (f"{self.target.name:10} {self.executions:>13,} {self.seconds:>8.1f} "
                f"{self.executions / self.seconds:>10,.0f} {self.coverage:>7,}  "
                f"{'FOUND' if self.said else '-'}")


class Fuzzer:
    def __init__(self, build: Path, seed: int) -> None:
        self._build = build
        self._seed = seed
        self._modules = next(build.glob("installed/**/cython_core")).parent

    def folders(self, target: Target) -> Iterator[Path]:
        """What is new, kept, and was found once."""
        for folder in (self._build / "inputs", HERE / "corpus", HERE / "regressions"):
            (folder / target.name).mkdir(parents=True, exist_ok=True)
            yield folder / target.name

    def run(self, target: Target, *arguments: str) -> "subprocess.CompletedProcess[str]":
        environment = os.environ | {
            "FUZZ_TARGET": target.name, "PYTHONPATH": str(self._modules), "PYTHONHASHSEED": "0",
            # Python frees nothing at its end.
            "ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1",
        }
        return subprocess.run(
            ["setarch", "--addr-no-randomize", self._build / "tests/fuzz/fuzzer", *arguments],
            env=environment, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)

    def fuzz(self, target: Target, executions: int) -> Result:
        begun = time.monotonic()
        new, *kept = self.folders(target)
        seeds = new.with_suffix(".seeds")
        seeds.write_text(",".join(
            str(path) for folder in kept for path in sorted(folder.iterdir())))
        done = self.run(
            target, f"-runs={executions}", f"-seed={self._seed}", f"-max_len={target.input_bytes}",
            "-detect_leaks=0", "-reload=0", "-print_final_stats=1", f"-timeout={HANGS_S}",
            f"-artifact_prefix={HERE / 'regressions' / target.name}/", f"-seed_inputs=@{seeds}",
            str(new))
        seconds = time.monotonic() - begun
        counted = re.search(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        coverage = re.findall(r" cov: (\d+)", done.stderr)
        said = "\n".join(done.stderr.splitlines()[-SHOWN:]) if done.returncode else ""
        return Result(target, int(counted[1]) if counted else 0, seconds,
                      int(coverage[-1]) if coverage else 0, said)

    def merge(self, target: Target) -> int:
        """How many inputs the corpus has now."""
        new, corpus, _ = self.folders(target)
        done = self.run(target, "-set_cover_merge=1", f"-max_len={target.input_bytes}",
                        str(corpus), str(new))
        if done.returncode:
            sys.exit(done.stderr)
        return len(list(corpus.iterdir()))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=Path, default=Path("build/fuzz"))
    parser.add_argument("--executions", type=float, default=3e7)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--merge", action="store_true")
    given = parser.parse_args()
    fuzzer = Fuzzer(given.build, given.seed)
    if given.merge:
        for target in TARGETS:
            print(f"{target.name:10} {fuzzer.merge(target):>5} inputs")
        return 0
    print(f"seed {given.seed}")
    print(f"{'target':10} {'executions':>13} {'seconds':>8} {'a second':>10} {'edges':>7}  found")
    results = []
    # The longest first.
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        for result in threads.map(
                lambda one: fuzzer.fuzz(one, round(one.share * given.executions)), TARGETS):
            print(result.row(), flush=True)
            results.append(result)
    print(f"{'all':10} {sum(one.executions for one in results):>13,}")
    for result in results:
        if result.said:
            print(f"\n{result.target.name}:\n{result.said}", file=sys.stderr)
    return any(result.said for result in results)


if __name__ == "__main__":
    raise SystemExit(main())
