"""grpc.health.v1.Health: how healthy the daemon and its services say they are.

Unlike grpc_health's own, it holds no lock while a watcher takes an answer: one that takes none
would stop whoever has something to tell.  A watcher that comes late hears the latest alone.
"""

import asyncio
from collections.abc import AsyncIterator

import grpc
from grpc_health.v1.health_pb2 import (
    HealthCheckRequest,
    HealthCheckResponse,
    HealthListRequest,
    HealthListResponse,
)
from grpc_health.v1.health_pb2_grpc import HealthServicer


class Health(HealthServicer):  # type: ignore[misc]
    def __init__(self) -> None:
        self._well: dict[str, bool] = {}
        self._changed = asyncio.Event()
        self._ends = False

    def set(self, name: str, well: bool) -> None:
        """An empty `name` is the daemon."""
        if not self._ends:
            self._tell({name: well})

    def end(self) -> None:
        """From now on nothing is well."""
        self._ends = True
        self._tell(dict.fromkeys(self._well, False))

    async def Check(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> HealthCheckResponse:
        if request.service not in self._well:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return self._answer(request.service)

    async def List(
        self, request: HealthListRequest, context: grpc.aio.ServicerContext
    ) -> HealthListResponse:
        return HealthListResponse(statuses={name: self._answer(name) for name in self._well})

    async def Watch(
        self, request: HealthCheckRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[HealthCheckResponse]:
        told = None
        while True:
            changed, answer = self._changed, self._answer(request.service)
            if answer != told:
                yield answer
                told = answer
            await changed.wait()

    def _answer(self, name: str) -> HealthCheckResponse:
        well = self._well.get(name)
        return HealthCheckResponse(
            status=HealthCheckResponse.SERVICE_UNKNOWN if well is None
            else HealthCheckResponse.SERVING if well else HealthCheckResponse.NOT_SERVING)

    def _tell(self, well: dict[str, bool]) -> None:
        """Much of it is said at every beat, and wakes nobody where it is known."""
        if self._well | well != self._well:
            self._well |= well
            self._changed.set()
            self._changed = asyncio.Event()
