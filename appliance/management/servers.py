"""synproxy.v1.ServersService."""

import time
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence

import grpc
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import servers_service_pb2 as api
from synproxy.v1.servers_service_pb2_grpc import ServersServiceServicer

from appliance.config.violation import Violation
from appliance.management.catalogue import Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.pages import (
    Place,
    page_size,
    page_size_violations,
    place_of,
    token_read,
    token_write,
)
from appliance.pausing import PAUSE_FACTOR
from cython_core.dataplane import Dataplane, LearnedServer

# Further pages are of the look that the first one took, while it is no older: all servers at once
# take a third of a second at 65,536.
LOOK_S = 5.0


class ServersServicer(ServersServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._look: Sequence[LearnedServer] = ()
        self._looked_s = float("-inf")
        self._took_s = 0.0

    async def ListServers(
        self, request: api.ListServersRequest, context: grpc.aio.ServicerContext
    ) -> api.ListServersResponse:
        if violations := list(_violations(request)):
            await abort_invalid(context, violations)
        servers = self._servers(anew=not request.page_token)
        if request.service:
            try:
                slot = self._catalogue.slot(request.service)
            except UnknownServiceError as error:
                await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
            servers = [server for server in servers if server.slot == slot]
        if request.page_token:
            former = token_read(request.page_token, request.service)
            servers = servers[bisect_right(servers, former, key=_place):]
        size = page_size(request.page_size)
        page = servers[:size]
        more = len(servers) > size
        names = self._catalogue.names()
        return api.ListServersResponse(
            servers=[_server(server, names) for server in page],
            next_page_token=token_write(_place(page[-1]), request.service) if more else "",
        )

    def _servers(self, anew: bool) -> Sequence[LearnedServer]:
        """By address and port."""
        began_s = time.monotonic()
        age_s = began_s - self._looked_s
        if age_s > (PAUSE_FACTOR * self._took_s if anew else LOOK_S):
            self._look = sorted(self._dataplane.learned_servers(), key=_place)
            self._looked_s = time.monotonic()
            self._took_s = self._looked_s - began_s
        return self._look


def _violations(request: api.ListServersRequest) -> Iterator[Violation]:
    yield from page_size_violations(request.page_size)
    if request.page_token:
        try:
            token_read(request.page_token, request.service)
        except ValueError as error:
            yield Violation("page_token", str(error))


def _place(server: LearnedServer) -> Place:
    return place_of(server.address, server.port)


def _server(server: LearnedServer, names: Mapping[int, str]) -> api.Server:
    return api.Server(
        address=str(server.address),
        port=server.port,
        # One that came or went since the table was read has no name.
        service="" if server.slot is None else names.get(server.slot, ""),
        mss=server.mss,
        wscale=server.wscale,
        sack=server.sack,
        timestamps=server.timestamps,
        age=Duration(seconds=server.age_s),
    )
