"""What gRPC's core is asked to do for a call, freed once it is done, however it ends.

grpc.aio frees a batch of operations only where it has succeeded and somebody still waits for it
(grpc/grpc#43360): of each stream that its caller leaves some hundred bytes would stay for ever.  So
here a batch that has failed ends as one that succeeds, before its failure is told; and of one whose
caller has gone the end is waited for all the same.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

import grpc
from grpc._cython import cygrpc

# Those that leak and whose inside is known here: of any other the calls are left as they are, which
# is safe.  Where a later one leaks, tests/appliance/test_memory.py fails.
RELEASES = ("1.85.1", "1.85.2", "1.85.3")
CUT = "cut"     # the message of a cancellation without which core would never end the batch

Execute = Callable[[Any, tuple[Any, ...], Any], Awaitable[None]]


class _End(asyncio.Future[None]):
    """Of a batch, as core tells it."""

    failure: BaseException | None = None

    def set_exception(self, failure: Any, /) -> None:
        self.failure = failure
        self.set_result(None)


def batches_freed() -> None:
    """From now on, in this process."""
    if grpc.__version__ in RELEASES and not hasattr(cygrpc.execute_batch, "frees"):
        cygrpc.execute_batch = _freeing(cygrpc.execute_batch)


def _freeing(execute: Callable[..., Coroutine[Any, Any, None]]) -> Execute:
    async def execute_batch(call: Any, operations: tuple[Any, ...], loop: Any) -> None:
        batch = execute(call, operations, loop)
        end = _begun(batch, loop)
        told = loop.create_future()

        def go_on(_: object) -> None:
            try:
                with suppress(StopIteration):
                    batch.send(None)
            finally:
                if not told.done():
                    told.set_result(None)   # whatever came of it: its caller waits

        end.add_done_callback(go_on)
        try:
            await told
        except asyncio.CancelledError as error:
            if CUT in error.args:
                end.remove_done_callback(go_on)
                batch.close()       # it holds the call; what it has of core's stays
            raise
        failure, end.failure = end.failure, None
        if failure is not None:
            try:
                raise failure
            finally:
                del failure     # it knows this frame, which is not to know it

    execute_batch.frees = True      # type: ignore[attr-defined]
    return execute_batch


def _begun(batch: Coroutine[Any, Any, None], loop: Any) -> _End:
    """What it waits for, which is a future that it has of its loop."""
    loop.create_future = _End
    try:
        end: _End = batch.send(None)
    finally:
        del loop.create_future
    end._asyncio_future_blocking = False    # whoever gets it goes on with it: asyncio.futures
    return end
