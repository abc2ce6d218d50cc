"""All that is shown, as it was at one moment."""

from dataclasses import dataclass

from synproxy.v1 import stats_service_pb2 as api

from appliance.top.headline import Statement, headline
from appliance.top.history import History, Plots
from appliance.top.rates import (
    DropRow,
    MempoolRow,
    PortRow,
    ServiceRow,
    WorkerRow,
    drop_rows,
    mempool_rows,
    port_rows,
    service_rows,
    worker_rows,
)
from appliance.top.sample import Sample, sample_of


@dataclass(frozen=True)
class Look:
    uptime_s: float
    generation: int
    headline: list[Statement]
    plots: Plots
    services: list[ServiceRow]      # by name
    drops: list[DropRow]
    workers: list[WorkerRow]
    ports: list[PortRow]
    mempools: list[MempoolRow]


class Looking:
    """Makes a look of each answer, with what the former ones have told."""

    def __init__(self) -> None:
        self._former: Sample | None = None
        self._history = History()

    def take(self, answer: api.GetStatsResponse) -> Look:
        now, then = sample_of(answer), self._former
        self._history.add(now, then)
        self._former = now
        workers, plots = list(worker_rows(now, then)), self._history.plots()
        return Look(
            uptime_s=now.uptime_s, generation=now.generation,
            headline=headline(now, then, workers, plots), plots=plots,
            services=service_rows(now, then), drops=drop_rows(now, then),
            workers=workers, ports=list(port_rows(now, then)), mempools=list(mempool_rows(now)),
        )
