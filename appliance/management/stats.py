"""synproxy.v1.StatsService."""

import asyncio
from collections.abc import AsyncIterator

import grpc
from synproxy.v1 import stats_service_pb2 as api
from synproxy.v1.stats_service_pb2_grpc import StatsServiceServicer

from appliance.config.constraints import constraint_violations
from appliance.config.duration import NS_PER_S, duration_ns
from appliance.management.catalogue import Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.sampler import Sampler
from appliance.management.samplings import Samplings
from appliance.supervision import Supervision
from cython_core.dataplane import COUNTER_HELP, Dataplane

INTERVAL_DEFAULT_NS = NS_PER_S
_MEANINGS = [
    api.CounterMeaning(name=name, meaning=meaning) for name, meaning in COUNTER_HELP.items()
]


class StatsServicer(StatsServiceServicer):
    def __init__(
        self, catalogue: Catalogue, dataplane: Dataplane, supervision: Supervision
    ) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._samplings = Samplings(catalogue, dataplane, supervision)

    async def GetStats(
        self, request: api.GetStatsRequest, context: grpc.aio.ServicerContext
    ) -> api.GetStatsResponse:
        if violations := list(constraint_violations(request)):
            await abort_invalid(context, violations)
        sampler = Sampler(self._catalogue, self._dataplane, await self._known(request, context))
        stats = (await sampler.take()).stats
        if request.HasField("rates_over"):
            services = {service.name: service for service in stats.services}
            await asyncio.sleep(duration_ns(request.rates_over) / NS_PER_S)
            stats = (await sampler.take()).stats
            services.update((service.name, service) for service in stats.services)
            names = self._catalogue.names().values()
            there = [services[name] for name in names if name in services]
            stats.ClearField("services")
            stats.services.extend(there)
        if request.meanings:
            stats.meanings.extend(_MEANINGS)
        return stats

    async def WatchStats(
        self, request: api.WatchStatsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.WatchStatsResponse]:
        if violations := list(constraint_violations(request)):
            await abort_invalid(context, violations)
        services = await self._known(request, context)
        interval_ns = duration_ns(request.interval) or INTERVAL_DEFAULT_NS
        with self._samplings.reader(interval_ns, services) as (sampling, reader):
            yield await sampling.first(reader)
            async for sample in reader.samples():
                yield sample

    async def _known(
        self, request: api.GetStatsRequest | api.WatchStatsRequest,
        context: grpc.aio.ServicerContext,
    ) -> frozenset[str]:
        """The services that are asked for; the call ends where there is none of such a name."""
        try:
            for name in request.services:
                self._catalogue.slot(name)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        return frozenset(request.services)
