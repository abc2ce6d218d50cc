"""synproxy.v1.ServicesService."""


import grpc
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceServicer

from appliance.config.violation import Violation
from appliance.management.catalogue import (
    Catalogue,
    InvalidServiceError,
    NotAcknowledgedError,
    UnknownServiceError,
)
from appliance.management.errors import abort_invalid
from appliance.management.masks import mask_apply, mask_violations
from cython_core.dataplane import DataplaneError


class ServicesServicer(ServicesServiceServicer):
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def ListServices(
        self, request: api.ListServicesRequest, context: grpc.aio.ServicerContext
    ) -> api.ListServicesResponse:
        return api.ListServicesResponse(
            services=self._catalogue.services(), generation=self._catalogue.generation
        )

    async def GetService(
        self, request: api.GetServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.GetServiceResponse:
        if not request.name:
            await abort_invalid(context, [Violation("name", "is required")])
        try:
            service = self._catalogue.service(request.name)
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        return api.GetServiceResponse(service=service, generation=self._catalogue.generation)

    async def UpdateService(
        self, request: api.UpdateServiceRequest, context: grpc.aio.ServicerContext
    ) -> api.UpdateServiceResponse:
        violations = list(mask_violations(request.update_mask))
        if not request.service.name:
            violations.append(Violation("service.name", "is required"))
        if violations:
            await abort_invalid(context, violations)
        try:
            change = await self._catalogue.update(
                request.service.name,
                lambda service: mask_apply(request, service),
                request.validate_only,
            )
        except UnknownServiceError as error:
            await context.abort(grpc.StatusCode.NOT_FOUND, str(error))
        except InvalidServiceError as error:
            await abort_invalid(context, error.violations)
        except (DataplaneError, NotAcknowledgedError) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        elapsed = Duration()
        elapsed.FromNanoseconds(change.elapsed_ns)
        return api.UpdateServiceResponse(
            service=change.after,
            previous=change.before,
            generation=change.generation,
            apply_time=elapsed,
        )
