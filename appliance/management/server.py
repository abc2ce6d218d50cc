"""The gRPC servers, one for each listener: their servicers, and how healthy they say they are."""

import asyncio
from collections.abc import Sequence

import grpc
from grpc_health.v1 import health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection
from synproxy.v1.capture_service_pb2_grpc import add_CaptureServiceServicer_to_server
from synproxy.v1.config_service_pb2_grpc import add_ConfigServiceServicer_to_server
from synproxy.v1.connections_service_pb2_grpc import add_ConnectionsServiceServicer_to_server
from synproxy.v1.events_service_pb2_grpc import add_EventsServiceServicer_to_server
from synproxy.v1.servers_service_pb2_grpc import add_ServersServiceServicer_to_server
from synproxy.v1.services_service_pb2_grpc import add_ServicesServiceServicer_to_server
from synproxy.v1.stats_service_pb2_grpc import add_StatsServiceServicer_to_server
from synproxy.v1.system_service_pb2_grpc import add_SystemServiceServicer_to_server

from appliance.api import CONFIGURATION, SERVICE_NAMES
from appliance.config.listening import Listening
from appliance.config_file import ConfigFile
from appliance.management.audit import AuditLog
from appliance.management.capture import CaptureServicer
from appliance.management.catalogue import Catalogue
from appliance.management.config import ConfigServicer
from appliance.management.connections import ConnectionsServicer
from appliance.management.door import Door
from appliance.management.draining import Draining
from appliance.management.events import EventsServicer
from appliance.management.health import Health
from appliance.management.samples import Samples
from appliance.management.servers import ServersServicer
from appliance.management.services import ServicesServicer
from appliance.management.stats import StatsServicer
from appliance.management.system import SystemServicer
from appliance.supervision import Supervision
from cython_core.dataplane import Dataplane, Event


class ManagementServer:
    def __init__(
        self, listening: Sequence[Listening], catalogue: Catalogue, dataplane: Dataplane,
        file: ConfigFile, log: AuditLog | None = None, supervision: Supervision | None = None,
    ) -> None:
        self._supervision = supervision or Supervision()
        self._health = Health()
        self._services = ServicesServicer(catalogue)
        self._servers = ServersServicer(catalogue, dataplane)
        self._config = ConfigServicer(catalogue, file)
        self._stats = StatsServicer(catalogue, dataplane, self._supervision)
        self._connections = ConnectionsServicer(catalogue, dataplane)
        self._events = EventsServicer(catalogue, dataplane, self._supervision)
        self._capture = CaptureServicer(catalogue, dataplane)
        self._samples = Samples(dataplane)
        self._system = SystemServicer(catalogue, dataplane, self._samples)
        self._sampling: asyncio.Task[None] | None = None
        log = log or AuditLog()
        self._doors = [Door(one, log) for one in listening]
        for door, one in zip(self._doors, listening, strict=True):
            if one.health:
                add_HealthServicer_to_server(self._health, door.server)
            else:
                self.register(door.server)

    def register(self, server: grpc.aio.Server) -> None:
        """All that one door leads to, and so do the others but for that of health alone."""
        add_HealthServicer_to_server(self._health, server)
        add_ServicesServiceServicer_to_server(self._services, server)
        add_ServersServiceServicer_to_server(self._servers, server)
        add_ConfigServiceServicer_to_server(self._config, server)
        add_StatsServiceServicer_to_server(self._stats, server)
        add_ConnectionsServiceServicer_to_server(self._connections, server)
        add_EventsServiceServicer_to_server(self._events, server)
        add_CaptureServiceServicer_to_server(self._capture, server)
        add_SystemServiceServicer_to_server(self._system, server)
        # So that clients without the schema, such as grpcurl, can do all of this.
        reflection.enable_server_reflection(
            (*SERVICE_NAMES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)

    @property
    def draining(self) -> Draining:
        return self._system.draining

    def tell(self, event: Event) -> None:
        """To those who watch events."""
        self._events.tell(event)

    async def start(self) -> None:
        """Alive, but not ready.  Raises Refusal where an address can't be had."""
        for name in (*SERVICE_NAMES, CONFIGURATION):
            self._health.set(name, False)
        self._health.set("", True)
        for door in self._doors:
            await door.open()

    def set_ready(self) -> None:
        self._sampling = self._supervision.keep("samples", self._samples.run)
        self.set_serving(True)

    def set_serving(self, well: bool) -> None:
        """Readiness.  Whoever watches hears of it only where it changes."""
        for name in SERVICE_NAMES:
            self._health.set(name, well)

    def set_configuration(self, well: bool) -> None:
        """Likewise."""
        self._health.set(CONFIGURATION, well)

    async def stop(self) -> None:
        """Leaves no socket behind."""
        if self._sampling:
            self._sampling.cancel()
        self._health.end()
        await asyncio.gather(*(door.close() for door in self._doors))
