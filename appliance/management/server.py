"""The gRPC server: its socket, its servicers, and how healthy they say they are."""

import os
from contextlib import suppress

import grpc
from grpc_health.v1 import health, health_pb2
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from synproxy.v1 import servers_service_pb2, services_service_pb2, stats_service_pb2
from synproxy.v1.servers_service_pb2_grpc import add_ServersServiceServicer_to_server
from synproxy.v1.services_service_pb2_grpc import add_ServicesServiceServicer_to_server
from synproxy.v1.stats_service_pb2_grpc import add_StatsServiceServicer_to_server

from appliance.config.formats import listen_address_parse
from appliance.management.catalogue import Catalogue
from appliance.management.servers import ServersServicer
from appliance.management.services import ServicesServicer
from appliance.management.stats import StatsServicer
from appliance.refusal import Refusal
from cython_core.dataplane import Dataplane

# What the health service answers for by name; "" is liveness, these are readiness.
SERVICE_NAMES = tuple(
    file.services_by_name[name].full_name
    for file in (services_service_pb2.DESCRIPTOR, servers_service_pb2.DESCRIPTOR,
                 stats_service_pb2.DESCRIPTOR)
    for name in file.services_by_name
)
# Calls in progress may take that long to end when the daemon stops.
GRACE_S = 1.0
# Two daemons on one TCP port would share its calls without a word.
_OPTIONS = (("grpc.so_reuseport", 0),)


class ManagementServer:
    def __init__(self, address: str, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._address = address
        self._socket = ""    # the path of the Unix socket, once it is ours
        self._server = grpc.aio.server(options=_OPTIONS)
        self._health = health.aio.HealthServicer()
        add_HealthServicer_to_server(self._health, self._server)
        add_ServicesServiceServicer_to_server(ServicesServicer(catalogue), self._server)
        add_ServersServiceServicer_to_server(ServersServicer(catalogue, dataplane), self._server)
        add_StatsServiceServicer_to_server(StatsServicer(catalogue, dataplane), self._server)

    async def start(self) -> None:
        """Alive, but not ready.  Raises Refusal where the address can't be had."""
        # The socket must never be open to others, not even between bind and chmod.
        former = os.umask(0o177)
        try:
            self._server.add_insecure_port(self._address)
        except RuntimeError:
            raise Refusal(
                f"management.address: can't listen at {self._address}; it is in use or not ours"
            ) from None
        finally:
            os.umask(former)
        self._socket = listen_address_parse(self._address)
        for name in SERVICE_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.NOT_SERVING)
        await self._health.set("", health_pb2.HealthCheckResponse.SERVING)
        await self._server.start()

    async def set_ready(self) -> None:
        for name in SERVICE_NAMES:
            await self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self) -> None:
        """Leaves no socket behind."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(GRACE_S)
        if self._socket:
            with suppress(FileNotFoundError):
                os.unlink(self._socket)
