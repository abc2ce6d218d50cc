"""How long changes take until every worker runs them, for metrics."""

from prometheus_client import Histogram, Metric

# Seconds; 10 ms is the goal (operations: with 10,000 services and a flood).
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class ApplyTimes:
    """From the call to the last worker's acknowledgement, of all changes since start."""

    def __init__(self) -> None:
        self._histogram = Histogram(
            "synproxy_config_apply_seconds",
            "Changes by how long they took, from the call until every worker ran them.",
            registry=None, buckets=BUCKETS)

    def note(self, elapsed_ns: int) -> None:
        self._histogram.observe(elapsed_ns / 1e9)

    def metric(self) -> Metric:
        (counted,) = self._histogram.collect()
        # The start is told once, for all counters: synproxy_start_time_seconds.
        counted.samples = [one for one in counted.samples if not one.name.endswith("_created")]
        return counted
