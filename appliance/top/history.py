"""The rates of the plots, each as it was at the last samples."""

from collections import deque
from collections.abc import Mapping

from appliance.top.rates import passed_s, rate
from appliance.top.sample import Sample

# Counter → what the plot is called; in the order of a handshake.
PLOTS = {
    "syns": "SYNs/s",
    "synack_sent": "cookies/s",
    "cookie_valid": "proved/s",
    "server_established": "connections/s",
    "dropped": "drops/s",
    "received": "frames/s",
}

# Points of each: as many columns as a wide terminal has, and ten minutes at the usual interval.
KEPT = 600

Plots = Mapping[str, tuple[float, ...]]


class History:
    def __init__(self) -> None:
        self._points: dict[str, deque[float]] = {name: deque(maxlen=KEPT) for name in PLOTS}

    def add(self, now: Sample, then: Sample | None) -> None:
        seconds = passed_s(now, then)
        if then is None or not seconds:
            return
        for name, points in self._points.items():
            points.append(rate(now.totals[name], then.totals[name], seconds))

    def plots(self) -> Plots:
        return {name: tuple(points) for name, points in self._points.items()}
