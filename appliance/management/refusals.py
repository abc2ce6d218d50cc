"""Why a change isn't made, as gRPC's codes: the same for every method."""

from collections.abc import Awaitable
from typing import NoReturn, TypeVar

import grpc

from appliance.config_file import FileRefusedError
from appliance.management.change_errors import (
    InvalidServiceError,
    NoSlotError,
    NotAcknowledgedError,
    ServiceExistsError,
    StaleEtagError,
    UnknownServiceError,
)
from appliance.management.errors import abort_invalid
from appliance.state.history import (
    NotKeptError,
    OtherWaitsError,
    UnconfirmedError,
    UnknownRevisionError,
)
from appliance.state.record import DamagedError
from cython_core.dataplane import DataplaneError, NoMemoryError

_CODES: dict[type[Exception], grpc.StatusCode] = {
    UnknownServiceError: grpc.StatusCode.NOT_FOUND,
    UnknownRevisionError: grpc.StatusCode.NOT_FOUND,
    ServiceExistsError: grpc.StatusCode.ALREADY_EXISTS,
    NoSlotError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    StaleEtagError: grpc.StatusCode.ABORTED,
    OtherWaitsError: grpc.StatusCode.ABORTED,
    UnconfirmedError: grpc.StatusCode.FAILED_PRECONDITION,
    FileRefusedError: grpc.StatusCode.FAILED_PRECONDITION,
    NotKeptError: grpc.StatusCode.UNAVAILABLE,
    NotAcknowledgedError: grpc.StatusCode.UNAVAILABLE,
    DataplaneError: grpc.StatusCode.UNAVAILABLE,
    NoMemoryError: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DamagedError: grpc.StatusCode.DATA_LOSS,
}
# An error travels in HTTP/2 headers, of which gRPC takes 8 KiB for certain.
_MESSAGE_CHARACTERS_MAX = 4000

Result = TypeVar("Result")


async def answered(work: Awaitable[Result], context: grpc.aio.ServicerContext) -> Result:
    """What the work comes to, or the end of the call with the code for it."""
    try:
        return await work
    except InvalidServiceError as error:
        await abort_invalid(context, error.violations)
    except tuple(_CODES) as error:
        await refuse(error, context)


async def refuse(error: Exception, context: grpc.aio.ServicerContext) -> NoReturn:
    code = _CODES[type(error)]
    if isinstance(error, NotKeptError) and error.full:
        code = grpc.StatusCode.RESOURCE_EXHAUSTED
    message = str(error)
    if len(message) > _MESSAGE_CHARACTERS_MAX:
        message = f"{message[:_MESSAGE_CHARACTERS_MAX]}..."
    await context.abort(code, message)
    raise AssertionError("abort returns never")
