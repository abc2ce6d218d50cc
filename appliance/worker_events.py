"""Events of a worker as a whole, which the daemon tells: one that is stuck tells nothing.

They stand beside those that workers write themselves (proxy/events), each of which has a counter
of its name.
"""

from collections.abc import Mapping

STALLED, RESUMED = "worker_stalled", "worker_resumed"
WORKER_EVENTS: Mapping[str, str] = {
    STALLED: "A worker has made no turn for 1 s: it polls no port, and its traffic is lost.",
    RESUMED: "A worker that was told as stalled makes turns again.",
}
