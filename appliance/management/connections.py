"""synproxy.v1.ConnectionsService."""

import asyncio
import time
from collections.abc import Iterator
from hashlib import sha256

import grpc
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import connections_service_pb2 as api
from synproxy.v1.connections_service_pb2_grpc import ConnectionsServiceServicer

from appliance.config.constraints import constraint_violations
from appliance.config.violation import Violation
from appliance.ends import end_text
from appliance.management.addresses import address_packed, address_parse, prefix_packed
from appliance.management.catalogue import ACKNOWLEDGE_TIMEOUT_S, Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.changes import change_note, fields_changed
from appliance.management.errors import abort_invalid
from appliance.management.pages import (
    page_size,
    page_size_violations,
    token_join,
    token_split,
)
from appliance.uncut import uncut
from cython_core.dataplane import (
    CONNECTION_STATES,
    Connection,
    ConnectionFilter,
    Dataplane,
    DataplaneError,
)

STEP = 1 << 16          # entries looked at between two turns of the event loop
STEPS_MAX = 16          # of one call
_POLL_S = 0.0005

Place = tuple[int, int]     # a worker, and an entry of its table


class TooManyError(Exception):
    """As many deletions are under way as a worker takes."""


class ConnectionsServicer(ConnectionsServiceServicer):
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane

    async def ListConnections(
        self, request: api.ListConnectionsRequest, context: grpc.aio.ServicerContext
    ) -> api.ListConnectionsResponse:
        if violations := list(_list_violations(request)):
            await abort_invalid(context, violations)
        try:
            wanted = self._filter(request)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        place: Place | None = token_read(request) if request.page_token else (0, 0)
        room = page_size(request.page_size)
        answer = api.ListConnectionsResponse()
        for _ in range(STEPS_MAX):
            if place is None or not room:
                break
            found, place = self._dataplane.connections(wanted, place, STEP, room)
            answer.connections.extend(self._message(one) for one in found)
            room -= len(found)
            await asyncio.sleep(0)
        if place is not None:
            answer.next_page_token = token_write(request, place)
        return answer

    async def DeleteConnection(
        self, request: api.DeleteConnectionRequest, context: grpc.aio.ServicerContext
    ) -> api.DeleteConnectionResponse:
        if violations := list(_delete_violations(request)):
            await abort_invalid(context, violations)
        try:
            connection = await uncut(self._delete(request))
        except TooManyError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except (DataplaneError, TimeoutError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        if connection is None:
            await context.abort(
                grpc.StatusCode.NOT_FOUND, f"no connection is open from {_shown(request)}")
        return api.DeleteConnectionResponse(connection=connection)

    async def _delete(self, request: api.DeleteConnectionRequest) -> api.Connection | None:
        """What it was.  Raises TooManyError, TimeoutError and DataplaneError."""
        ticket = self._dataplane.delete_connection((
            address_packed(address_parse(request.client_address)), request.client_port,
            address_packed(address_parse(request.server_address)), request.server_port,
        ))
        if ticket is None:
            raise TooManyError("too many connections are being deleted; try again")
        deadline_s = time.monotonic() + ACKNOWLEDGE_TIMEOUT_S
        while True:
            done, was = self._dataplane.connection_deleted(ticket)
            if done:
                break
            if time.monotonic() > deadline_s:
                self._dataplane.deletion_forget(ticket)
                raise TimeoutError(f"its worker has not done it after {ACKNOWLEDGE_TIMEOUT_S:g} s")
            await asyncio.sleep(_POLL_S)
        if was is None:
            return None
        connection = self._message(was)
        change_note(f"connections/{_shown(request)}", fields_changed(connection, None))
        return connection

    def _filter(self, request: api.ListConnectionsRequest) -> ConnectionFilter:
        """Raises UnknownServiceError."""
        return ConnectionFilter(
            slot=self._catalogue.slot_held(request.service) if request.service else None,
            client=prefix_packed(request.client_prefix),
            server=prefix_packed(request.server_prefix),
            states=frozenset(CONNECTION_STATES[state - 1] for state in request.states),
        )

    def _message(self, one: Connection) -> api.Connection:
        return api.Connection(
            client_address=str(one.client), client_port=one.client_port,
            server_address=str(one.server), server_port=one.server_port,
            service="" if one.slot is None else self._catalogue.name_of(one.slot),
            leaving=one.leaving,
            state=f"STATE_{one.state.upper()}",
            idle=Duration(seconds=one.idle_s),
            lcore=one.lcore,
            passes=one.passes,
            client_fin=one.client_fin,
            server_fin=one.server_fin,
            seq_offset=one.seq_offset,
            timestamps=f"TIMESTAMPS_{one.timestamps.upper()}",
        )


def token_write(request: api.ListConnectionsRequest, place: Place) -> str:
    """Where the next page of this list begins; good as long as the daemon lives, and harmless
    afterwards."""
    worker, entry = place
    return token_join(worker, entry, _list_digest(request))


def token_read(request: api.ListConnectionsRequest) -> Place:
    """Raises ValueError unless it is a token of that list, letter for letter."""
    try:
        worker, entry, _ = token_split(request.page_token)
        place = (int(worker), int(entry))
    except ValueError:
        raise ValueError("is no token of a page") from None
    if token_write(request, place) != request.page_token or not _in_range(place):
        raise ValueError("is the token of another list")
    return place


def _in_range(place: Place) -> bool:
    return 0 <= place[0] < 64 and 0 <= place[1] < 1 << 32


def _list_digest(request: api.ListConnectionsRequest) -> str:
    """Of what the list is of."""
    only = api.ListConnectionsRequest()
    only.CopyFrom(request)
    only.ClearField("page_size")
    only.ClearField("page_token")
    return sha256(only.SerializeToString(deterministic=True)).hexdigest()[:16]


def _list_violations(request: api.ListConnectionsRequest) -> Iterator[Violation]:
    yield from constraint_violations(request)
    yield from page_size_violations(request.page_size)
    if request.page_token:
        try:
            token_read(request)
        except ValueError as error:
            yield Violation("page_token", str(error))


def _delete_violations(request: api.DeleteConnectionRequest) -> Iterator[Violation]:
    yield from constraint_violations(request)
    versions = set()
    for field in ("client_address", "server_address"):
        try:
            versions.add(address_parse(getattr(request, field)).version)
        except ValueError as error:
            yield Violation(field, str(error))
    if len(versions) == 2:
        yield Violation("server_address", "must be of the client's IP version")


def _shown(request: api.DeleteConnectionRequest) -> str:
    return (f"{end_text(request.client_address, request.client_port)} to"
            f" {end_text(request.server_address, request.server_port)}")
