"""The logical cores that this process may use, online and in its cpuset; and their vectors."""

import os
from collections.abc import Iterator, Sequence

from appliance.refusal import Refusal
from cython_core.dataplane import VECTORS


def processor_refusals(lcores: Sequence[int], quota: float | None = None) -> Iterator[Refusal]:
    """`lcores` are one for all else and the workers'.  `quota` is the CPU time that they may take
    together, in CPUs; None: all."""
    usable = os.sched_getaffinity(0)
    missing = sorted(set(lcores) - usable)
    workers = len(lcores) - 1
    if len(usable) < 2:
        yield Refusal(
            f"this process may use one CPU only, {core_ranges(sorted(usable))}; give it two:"
            " one polls the ports, one does all else"
        )
    elif quota is not None and quota <= workers:
        # Told before the cores: with too little of it a container chooses none of its cpuset.
        yield Refusal(
            f"workers poll without a pause, and {quota:g} is all the CPU time that this process may"
            f" take (cpu.max); give it {len(lcores)}: one for each worker, one for all else"
        )
    elif missing:
        yield Refusal(
            f"workers names lcore {', '.join(map(str, missing))}, but this process may use"
            f" {core_ranges(sorted(usable))} only; change workers, or the cpuset that it runs in"
        )


def vector_refusals(wanted: str) -> Iterator[Refusal]:
    if wanted not in ("auto", *VECTORS):
        yield Refusal(
            f"workers.vector is {wanted}, but what this host can run is {', '.join(VECTORS)};"
            " name one of these, or auto"
        )


def core_ranges(numbers: list[int]) -> str:
    """[0, 1, 2, 5] as "0-2,5"."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ",".join(f"{p[0]}-{p[-1]}" if len(p) > 1 else str(p[0]) for p in parts)
