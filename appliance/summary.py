"""What the workers counted, as the daemon's last words."""

from collections import Counter
from collections.abc import Iterator, Sequence

from cython_core.dataplane import COUNTERS, DROP_REASONS, WorkerStats


def counter_lines(workers: Sequence[WorkerStats]) -> Iterator[str]:
    """The counters that aren't zero, over all workers, in the data plane's order."""
    totals: Counter[str] = Counter()
    for worker in workers:
        totals.update(worker.counters)
    width = max(map(len, COUNTERS)) + 2
    dropped = sum(totals[reason] for reason in DROP_REASONS)
    for name in COUNTERS:
        if name not in DROP_REASONS and totals[name]:
            yield f"{name:<{width}}{totals[name]:>15}"
    yield f"{'dropped':<{width}}{dropped:>15}"
    for reason in DROP_REASONS:
        if totals[reason]:
            yield f"  {reason:<{width - 2}}{totals[reason]:>15}"
