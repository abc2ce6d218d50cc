"""What a client has met, counted while it goes on: how many succeeded, how fast, and why the others
failed."""

import collections
import statistics
import time
from dataclasses import dataclass


@dataclass
class Report:
    """Latencies are of those that succeeded, in milliseconds."""

    attempted: int
    succeeded: int
    seconds: float
    per_second: float
    median_ms: float | None
    p99_ms: float | None
    max_ms: float | None
    failures: dict[str, int]    # how often by reason


class Tally:
    """From its making on."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.latencies_ms: list[float] = []
        self.failures: collections.Counter[str] = collections.Counter()

    def report(self, attempted: int) -> Report:
        seconds = time.perf_counter() - self._started
        taken = sorted(self.latencies_ms)
        return Report(
            attempted=attempted,
            succeeded=len(taken),
            seconds=round(seconds, 2),
            per_second=round(len(taken) / seconds),
            median_ms=round(statistics.median(taken), 2) if taken else None,
            p99_ms=round(taken[len(taken) * 99 // 100], 2) if taken else None,
            max_ms=round(taken[-1], 2) if taken else None,
            failures=dict(self.failures),
        )
