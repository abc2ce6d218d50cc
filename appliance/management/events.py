"""synproxy.v1.EventsService."""

from collections.abc import AsyncIterator, Iterator

import grpc
from synproxy.v1 import events_service_pb2 as api
from synproxy.v1.events_service_pb2_grpc import EventsServiceServicer

from appliance.config.constraints import constraint_violations
from appliance.config.formats import prefix_parse
from appliance.config.violation import Violation
from appliance.management.audience import Audience, Wanted
from appliance.management.catalogue import Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.reasons import reason_violations
from appliance.supervision import Supervision
from appliance.worker_events import WORKER_EVENTS
from cython_core.dataplane import EVENT_REASONS, Dataplane, Event

PASSED_OVER_MAX = (1 << 32) - 1     # a message's uint32
REASONS = (*EVENT_REASONS, *WORKER_EVENTS)


class EventsServicer(EventsServiceServicer):
    def __init__(
        self, catalogue: Catalogue, dataplane: Dataplane, supervision: Supervision
    ) -> None:
        self._catalogue = catalogue
        self._audience = Audience(dataplane, supervision)

    def tell(self, event: Event) -> None:
        """Who watches hears of it; the data plane has not written it."""
        self._audience.tell(event)

    async def WatchEvents(
        self, request: api.WatchEventsRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.WatchEventsResponse]:
        if violations := list(_violations(request)):
            await abort_invalid(context, violations)
        try:
            wanted = self._wanted(request)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        with self._audience.reader(wanted) as reader:
            yield api.WatchEventsResponse()
            while True:
                told = await reader.read()
                yield api.WatchEventsResponse(
                    events=[self._message(*one) for one in told.events],
                    lost=told.lost, overrun=told.overrun,
                )

    def _wanted(self, request: api.WatchEventsRequest) -> Wanted:
        """Raises UnknownServiceError."""
        if request.service:
            self._catalogue.slot_held(request.service)
        reasons = frozenset(request.reasons or REASONS)
        clients, servers = (
            prefix_parse(prefix) if prefix else None
            for prefix in (request.client_prefix, request.server_prefix)
        )

        def wanted(event: Event) -> bool:
            return (
                (not request.service or self._service(event) == request.service)
                and event.reason in reasons
                and (clients is None or (event.client is not None and event.client in clients))
                and (servers is None or (event.server is not None and event.server in servers))
            )

        return wanted

    def _service(self, event: Event) -> str:
        """By its name, for another one may have the slot by now."""
        return "" if event.slot is None else self._catalogue.name_of(event.slot)

    def _message(self, event: Event, passed_over: int) -> api.Event:
        message = api.Event(
            reason=event.reason,
            service=self._service(event),
            client_address=str(event.client or ""), client_port=event.client_port,
            server_address=str(event.server or ""), server_port=event.server_port,
            from_client=event.from_client, tcp_flags=event.flags, lcore=event.lcore,
            passed_over=min(passed_over, PASSED_OVER_MAX),
        )
        message.time.FromNanoseconds(event.time_ns)
        return message


def _violations(request: api.WatchEventsRequest) -> Iterator[Violation]:
    yield from constraint_violations(request)
    yield from reason_violations(
        request.reasons, REASONS, "is none that is told",
        "synproxy explain WatchEventsRequest.reasons")
