"""synproxy.v1.ServicesService."""

from collections.abc import AsyncIterator

import grpc
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceServicer

from appliance.config.duration import duration_of
from appliance.config.violation import Violation
from appliance.management.catalogue import Catalogue
from appliance.management.change_errors import UnknownServiceError
from appliance.management.errors import abort_invalid
from appliance.management.masks import mask_apply, mask_violations
from appliance.management.refusals import answered, refuse
from appliance.management.watchers import Kind

WATCHERS_MAX = 64

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
        return api.ListServicesResponse(
            services=self._catalogue.services(),
            generation=self._catalogue.generation,
            leaving=[
                api.LeavingService(name=name, connections=connections)
                for name, connections in self._catalogue.leaving()
            ],
        )

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
        watchers = self._catalogue.watchers
        if len(watchers) >= WATCHERS_MAX:
            await context.abort(
                grpc.StatusCode.RESOURCE_EXHAUSTED, f"{WATCHERS_MAX} watch already"
            )
        with watchers.watcher() as watcher:
            # What changes from here on is told to the watcher.
            existing, generation = self._catalogue.services(), self._catalogue.generation
            for service in existing:
                yield api.WatchServicesResponse(
                    kind=api.WatchServicesResponse.KIND_EXISTING,
                    service=service, generation=generation,
                )
            yield api.WatchServicesResponse(
                kind=api.WatchServicesResponse.KIND_END_OF_EXISTING, generation=generation
            )
            async for kind, service, generation in watcher.changes():
                yield api.WatchServicesResponse(
                    kind=_KINDS[kind], service=service, generation=generation
                )


async def _named(name: str, path: str, context: grpc.aio.ServicerContext) -> None:
    if not name:
        await abort_invalid(context, [Violation(path, "is required")])
