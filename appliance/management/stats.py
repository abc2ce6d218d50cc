"""synproxy.v1.StatsService."""

import time

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceServicer

from appliance.config.duration import duration_of
from appliance.management.catalogue import Catalogue
from cython_core.dataplane import COUNTER_HELP, DROP_REASONS, Dataplane, WorkerStats

_MEANINGS = [
    api.CounterMeaning(name=name, meaning=meaning) for name, meaning in COUNTER_HELP.items()
]


class StatsServicer(StatsServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._since_ns = time.monotonic_ns()

    async def GetStats(
        self, request: api.GetStatsRequest, context: grpc.aio.ServicerContext
    ) -> api.GetStatsResponse:
        now = Timestamp()
        now.GetCurrentTime()
        return api.GetStatsResponse(
            sample_time=now,
            uptime=duration_of(time.monotonic_ns() - self._since_ns),
            generation=self._catalogue.generation,
            workers=[_worker(worker) for worker in self._dataplane.worker_stats()],
            services=[
                self._service(slot, name) for slot, name in self._catalogue.names().items()
            ],
            # The data plane's fields have the schema's names.
            ports=[api.PortStats(**vars(port)) for port in self._dataplane.port_stats()],
            mempools=[api.MempoolStats(**vars(pool)) for pool in self._dataplane.mempool_stats()],
            meanings=_MEANINGS if request.meanings else (),
        )

    def _service(self, slot: int, name: str) -> api.ServiceStats:
        cookies = self._dataplane.service_cookies(slot)
        stats = api.ServiceStats(
            name=name, counters=self._counted(slot), cookies=cookies.on,
            connections=self._dataplane.service_connections(slot),
        )
        if cookies.age_s is not None:
            stats.cookies_age.FromMilliseconds(round(cookies.age_s * 1000))
        return stats

    def _counted(self, slot: int) -> dict[str, int]:
        """Without zeros: thousands of services may be there, and few of them busy."""
        counters = self._dataplane.service_counters(slot)
        return {name: count for name, count in counters.items() if count}


def _worker(worker: WorkerStats) -> api.WorkerStats:
    gauges = dict(vars(worker))
    counted = gauges.pop("counters")
    return api.WorkerStats(
        counters={name: count for name, count in counted.items() if name not in DROP_REASONS},
        drops={name: count for name, count in counted.items() if name in DROP_REASONS},
        **gauges,
    )
