"""One answer of the daemon, with what is asked of it often: totals, and everything by its name."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from synproxy.v1 import stats_service_pb2 as api


@dataclass(frozen=True)
class Sample:
    """Counters are those of appliance.management.stats; `totals` has "syns" and "dropped" too."""

    uptime_s: float
    generation: int
    draining: bool                              # new connections are not taken
    totals: Counter[str]                        # over all workers, drops among them
    reasons: frozenset[str]                     # the counters that are drops
    meanings: Mapping[str, str]
    services: Mapping[str, api.ServiceStats]    # by name, in its order
    workers: Mapping[int, api.WorkerStats]      # by lcore
    ports: Mapping[str, api.PortStats]          # by role
    mempools: Iterable[api.MempoolStats]

    def fills(self) -> list[tuple[str, int, int]]:
        """What can fill up: its name, how much is in use, how much there is."""
        workers = self.workers.values()
        return [
            ("Connections", sum(one.connections for one in workers),
             sum(one.connections_max for one in workers)),
            ("Half open", sum(one.half_open for one in workers),
             sum(one.half_open_max for one in workers)),
            ("Buffers", sum(one.in_use for one in self.mempools),
             sum(one.size for one in self.mempools)),
        ]


def syns_of(counters: Mapping[str, int]) -> int:
    """Those answered with cookies, and those that the server had."""
    return counters.get("syn_received", 0) + counters.get("syn_passed", 0)


def sample_of(answer: api.GetStatsResponse) -> Sample:
    totals: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    for worker in answer.workers:
        totals.update(worker.counters)
        drops.update(worker.drops)
    totals.update(drops)
    totals["dropped"] = drops.total()
    totals["syns"] = syns_of(totals)
    return Sample(
        uptime_s=answer.uptime.ToNanoseconds() / 1e9,
        generation=answer.generation,
        draining=answer.draining,
        totals=totals,
        reasons=frozenset(drops),
        meanings={one.name: one.meaning for one in answer.meanings},
        services={one.name: one for one in sorted(answer.services, key=lambda one: one.name)},
        workers={one.lcore: one for one in answer.workers},
        ports={one.role: one for one in answer.ports},
        mempools=answer.mempools,
    )
