"""synproxy.v1.ServicesService."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import grpc
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceServicer

from appliance.config.duration import duration_of
from appliance.config.violation import Violation
from appliance.management.catalogue import STEP, Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.masks import mask_apply, mask_violations
from appliance.management.pages import (
    page_size,
    page_size_violations,
    token_join,
    token_split,
)
from appliance.management.refusals import answered, refuse
from appliance.management.shown import FIELDS, service_show
from appliance.management.watchers import Kind

_KINDS = {
    Kind.CREATED: api.WatchServicesResponse.KIND_CREATED,
    Kind.UPDATED: api.WatchServicesResponse.KIND_UPDATED,
    Kind.DELETED: api.WatchServicesResponse.KIND_DELETED,
}


class ServicesServicer(ServicesServiceServicer):
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListServices(
        self, request: api.ListServicesRequest, context: grpc.aio.ServicerContext
    ) -> api.ListServicesResponse:
        if violations := list(_list_violations(request)):
            await abort_invalid(context, violations)
        live, size = self._catalogue.live, page_size(request.page_size)
        former = token_read(request.page_token) if request.page_token else 0
        found = self._catalogue.behind(former, size + 1)
        answer = api.ListServicesResponse(
            generation=self._catalogue.generation, total_size=len(live.services))
        fields = frozenset(request.read_mask.paths) or FIELDS
        page = found[:size]
        for first in range(0, len(page), STEP):
            for _, service in page[first:first + STEP]:
                service_show(service, live.defaults, answer.services.add(), fields)
            await asyncio.sleep(0)
        if len(found) > size:
            answer.next_page_token = token_write(page[-1][0])
            return answer
        for name, connections in await self._catalogue.leaving():
            answer.leaving.add(name=name, connections=connections)
        return answer

    async def GetService(
        self, request: api.GetServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.GetServiceResponse:
        await _named(request.name, "name", context)
        try:
            service = self._catalogue.service(request.name)
        except UnknownServiceError as error:
            await refuse(error, context)
        return api.GetServiceResponse(service=service, generation=self._catalogue.generation)

    async def CreateService(
        self, request: api.CreateServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.CreateServiceResponse:
        change = await answered(
            self._catalogue.create(request.service, request.validate_only), context
        )
        return api.CreateServiceResponse(
            service=change.after, generation=change.generation,
            apply_time=duration_of(change.elapsed_ns),
        )

    async def UpdateService(
        self, request: api.UpdateServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.UpdateServiceResponse:
        violations = list(mask_violations(request.update_mask))
        if not request.service.name:
            violations.append(Violation("service.name", "is required"))
        if violations:
            await abort_invalid(context, violations)
        change = await answered(
            self._catalogue.update(
                request.service.name,
                lambda service: mask_apply(request, service),
                request.validate_only,
                request.service.etag,
            ),
            context,
        )
        return api.UpdateServiceResponse(
            service=change.after,
            previous=change.before,
            generation=change.generation,
            apply_time=duration_of(change.elapsed_ns),
        )

    async def DeleteService(
        self, request: api.DeleteServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.DeleteServiceResponse:
        await _named(request.name, "name", context)
        change = await answered(
            self._catalogue.delete(request.name, request.validate_only, request.etag), context
        )
        return api.DeleteServiceResponse(
            service=change.before, generation=change.generation,
            apply_time=duration_of(change.elapsed_ns),
        )

    async def WatchServices(
        self, request: api.WatchServicesRequest, context: grpc.aio.ServicerContext
    ) -> AsyncIterator[api.WatchServicesResponse]:
        with self._catalogue.watchers.watcher() as watcher:
            while True:
                async for answer in self._existing():
                    yield answer
                async for one in watcher.changes():
                    yield _told(_KINDS[one.kind], one.service, one.defaults, one.generation)
                yield api.WatchServicesResponse(
                    kind=api.WatchServicesResponse.KIND_LOST, lost=watcher.skip(),
                    generation=self._catalogue.generation)

    async def _existing(self) -> AsyncIterator[api.WatchServicesResponse]:
        """Between two steps others are served; what they change meanwhile is in the log."""
        kinds, number = api.WatchServicesResponse.Kind, 0
        while step := self._catalogue.behind(number, STEP):
            # Not all that runs: of that others make another one while this reader is stopped.
            defaults, generation = self._catalogue.live.defaults, self._catalogue.generation
            for _, service in step:
                yield _told(kinds.KIND_EXISTING, service, defaults, generation)
            number = step[-1][0]
            await asyncio.sleep(0)
        yield api.WatchServicesResponse(
            kind=kinds.KIND_END_OF_EXISTING, generation=self._catalogue.generation)


def _told(
    kind: api.WatchServicesResponse.Kind, service: Service, defaults: ServiceOptions,
    generation: int,
) -> api.WatchServicesResponse:
    answer = api.WatchServicesResponse(kind=kind, generation=generation)
    service_show(service, defaults, answer.service)
    return answer


def token_write(number: int) -> str:
    """The next page begins behind the service that has this number."""
    return token_join("services", number)


def token_read(token: str) -> int:
    """Raises ValueError unless it is a token of this list, letter for letter."""
    try:
        number = int(token_split(token)[-1])
    except ValueError:
        raise ValueError("is no token of a page") from None
    if token_write(number) != token or number <= 0:
        raise ValueError("is the token of another list")
    return number


def _list_violations(request: api.ListServicesRequest) -> Iterator[Violation]:
    yield from page_size_violations(request.page_size)
    if request.page_token:
        try:
            token_read(request.page_token)
        except ValueError as error:
            yield Violation("page_token", str(error))
    for path in request.read_mask.paths:
        if path not in FIELDS:
            yield Violation(
                "read_mask", f"{path} is no field of a service; name {', '.join(sorted(FIELDS))}")


async def _named(name: str, path: str, context: grpc.aio.ServicerContext) -> None:
    if not name:
        await abort_invalid(context, [Violation(path, "is required")])
