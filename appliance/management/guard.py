"""Before every method: who may call it, how long it may take, what the log keeps of it."""

import asyncio
import inspect
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, nullcontext
from functools import partial
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message

from appliance.config.listening import Listening
from appliance.management import bounds
from appliance.management.audit import AuditLog
from appliance.management.callers import Caller, caller_of
from appliance.management.changes import changes_begin
from appliance.management.cutting import cut_after
from appliance.management.roles import method_role, role_word
from appliance.management.seats import NoSeatError, Seats, listener_enter

_LOG = logging.getLogger(__name__)


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc]
    """Of one listener."""

    def __init__(self, listening: Listening, log: AuditLog) -> None:
        self._listening = listening
        self._log = log
        self._seats = Seats()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler | None:
        call_off = cut_after(bounds.CALL_S, details.method)
        handler = await continuation(details)
        return handler and self._guarded(handler, details.method, call_off)

    def _guarded(
        self, handler: grpc.RpcMethodHandler, method: str, call_off: Callable[[], None]
    ) -> grpc.RpcMethodHandler:
        """The same method behind this guard.  A handler has one behavior, by its kind; gRPC takes
        a stream of answers from an async generator, or from a coroutine that writes them.  A
        stream lasts as long as it likes, once it is asked for."""
        kind = (
            f"{'stream' if handler.request_streaming else 'unary'}"
            f"_{'stream' if handler.response_streaming else 'unary'}"
        )
        behavior = getattr(handler, kind)
        unary = kind == "unary_unary"
        checked = _each_checked if handler.request_streaming else _checked

        async def call(request: Any, context: grpc.aio.ServicerContext) -> Any:
            if not unary:
                call_off()
            async with self._watched(method, request, context, unary):
                return await behavior(await checked(request, context), context)

        async def generate(request: Any, context: grpc.aio.ServicerContext) -> AsyncIterator[Any]:
            call_off()
            async with self._watched(method, request, context, unary):
                async for answer in behavior(await checked(request, context), context):
                    yield answer

        make = getattr(grpc, f"{kind}_rpc_method_handler")
        return make(
            generate if inspect.isasyncgenfunction(behavior) else call,
            partial(_parsed, handler.request_deserializer), handler.response_serializer,
        )

    @asynccontextmanager
    async def _watched(
        self, method: str, request: Any, context: grpc.aio.ServicerContext, unary: bool
    ) -> AsyncIterator[None]:
        began_ns = time.monotonic_ns()
        caller = caller_of(self._listening, context)
        changes = changes_begin(caller.seen, _short(method))
        listener_enter(self._listening.address)
        cancelled = False
        try:
            await _check_role(caller, method, context)
            with nullcontext() if unary else self._seats.seat(method):
                async with _deadline(context, unary):
                    yield
        except NoSeatError as error:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, str(error))
        except asyncio.CancelledError:      # the caller has gone, or its deadline is over
            cancelled = True
            raise
        finally:
            took_ns = time.monotonic_ns() - began_ns
            _LOG.debug("%s by %s took %.3f ms", method, caller.seen, took_ns / 1e6)
            self._log.call(
                caller, method, request if isinstance(request, Message) else None, changes,
                context, took_ns, cancelled,
            )


def _short(method: str) -> str:
    """ "ServicesService/UpdateService" """
    return method.removeprefix("/").rpartition(".")[2]


class _NoMessage:
    """In place of a request whose bytes can't be read; gRPC's own word for it is UNKNOWN."""


def _parsed(deserialize: Callable[[bytes], Message], body: bytes) -> Message | _NoMessage:
    try:
        return deserialize(body)
    except DecodeError:
        return _NoMessage()


async def _checked(request: Any, context: grpc.aio.ServicerContext) -> Any:
    if isinstance(request, _NoMessage):
        await context.abort(
            grpc.StatusCode.INVALID_ARGUMENT, "the request's bytes are no message of this method")
    return request


async def _each_checked(
    requests: AsyncIterator[Any], context: grpc.aio.ServicerContext
) -> AsyncIterator[Any]:
    async def each() -> AsyncIterator[Any]:
        async for request in requests:
            yield await _checked(request, context)

    return each()


async def _check_role(caller: Caller, method: str, context: grpc.aio.ServicerContext) -> None:
    needed = method_role(method)
    if needed and caller.role >= needed:
        return
    name = method.rpartition("/")[2]
    words = (
        f"needs the role {role_word(needed)}; {caller.seen} has {_had(caller)}" if needed
        else "has no role yet, so that nobody may call it"
    )
    await context.abort(grpc.StatusCode.PERMISSION_DENIED, f"{name} {words}")


def _had(caller: Caller) -> str:
    return f"the role {role_word(caller.role)}" if caller.role else "no role here"


@asynccontextmanager
async def _deadline(context: grpc.aio.ServicerContext, unary: bool) -> AsyncIterator[None]:
    """For callers that set none, or a later one."""
    if not unary:
        yield
        return
    try:
        async with asyncio.timeout(bounds.UNARY_DEADLINE_S) as timeout:
            yield
    except TimeoutError:
        if not timeout.expired():
            raise
        await context.abort(
            grpc.StatusCode.DEADLINE_EXCEEDED,
            f"not done after {bounds.UNARY_DEADLINE_S:g} s, the most that a call may take",
        )
