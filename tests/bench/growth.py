"""How fast something grows: the line through its readings by least squares, and how sure it is.

Nothing is said of fewer than three readings, which any line fits.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

HOUR_S = 3600
READINGS_MIN = 3
TOO_FEW = f"fewer than {READINGS_MIN} readings say nothing of its growth"
MAX_KIB = 1024      # an hour
FEW_MAX_KIB = 4096  # in so few, while what has a bound is filled
WARM_UP = 1 / 4     # of the time; what has a bound is filled meanwhile


@dataclass(frozen=True)
class Growth:
    """An hour, in the readings' unit."""

    slope: float
    margin: float       # twice the slope's standard error
    readings: int       # that it was measured on,
    seconds: float      # over so long

    def __str__(self) -> str:
        return (f"{self.slope:+,.0f} ± {self.margin:,.0f} KiB an hour, by {self.readings} readings"
                f" over {self.seconds:,.0f} s")

    def is_above(self, limit: float) -> bool:
        """For sure."""
        return self.slope - self.margin > limit

    def is_below(self, limit: float) -> bool:
        """For sure."""
        return self.slope + self.margin < limit


def settled(times_s: Sequence[float], values: Sequence[float]) -> tuple[list[float], list[float]]:
    """Those after the warm-up."""
    begins_s = times_s[0] + WARM_UP * (times_s[-1] - times_s[0])
    kept = [at for at, time_s in enumerate(times_s) if time_s >= begins_s]
    return [times_s[at] for at in kept], [values[at] for at in kept]


def growth(times_s: Sequence[float], values: Sequence[float]) -> Growth | None:
    """None: too few readings."""
    if len(values) < READINGS_MIN:
        return None
    slope, intercept = statistics.linear_regression(times_s, values)
    strays = sum((value - intercept - slope * time_s) ** 2
                 for time_s, value in zip(times_s, values, strict=True))
    spread = statistics.pvariance(times_s) * len(times_s)
    error = sqrt(strays / (len(values) - 2) / spread)
    return Growth(slope * HOUR_S, 2 * error * HOUR_S, len(values), times_s[-1] - times_s[0])


def growth_faults(grown: Growth | None, kib: Sequence[float], seconds: float) -> list[str]:
    """Of memory, in a run of so many seconds, with all its readings."""
    if grown is None:
        few = kib[-1] - kib[0]
        return [f"memory has grown by {few:,.0f} KiB"] if few > FEW_MAX_KIB else []
    if grown.is_above(MAX_KIB):
        return [f"memory grows: {grown}"]
    if seconds >= HOUR_S and not grown.is_below(MAX_KIB):
        return [f"it isn't sure that memory grows by less than {MAX_KIB} KiB an hour: {grown}"]
    return []
