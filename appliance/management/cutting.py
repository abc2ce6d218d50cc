"""Cuts a call short, whatever it waits for: a request that doesn't come, an answer nobody takes.

gRPC waits for both as long as the peer answers its pings, and grpc.aio has no way to cancel a call.
It runs two tasks for each: one waits until the call is over, and begins the one that handles it.
Once both have ended nothing holds the call any more, but for the last that came in until the next
does, and gRPC's core resets its stream.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Generator
from typing import Any
from weakref import WeakKeyDictionary

_LOG = logging.getLogger(__name__)
_Task = asyncio.Task[Any]

# The former's name in grpc/_cython/_cygrpc/aio/server.pyx.pxi; were it another, none would be cut.
_WAITS = "_schedule_rpc_coro"
_waiting: WeakKeyDictionary[_Task, _Task] = WeakKeyDictionary()     # by the one that handles


def calls_cuttable() -> None:
    """Those are that servers of the running loop take in from now on."""
    asyncio.get_running_loop().set_task_factory(_begin)


def _begin(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any] | Generator[Any, Any, Any],
    **how: Any,
) -> _Task:
    task = asyncio.Task(work, loop=loop, **how)
    beginner = asyncio.current_task(loop)
    if beginner and getattr(beginner.get_coro(), "__name__", "") == _WAITS:
        _waiting[task] = beginner
    return task


def cut_after(seconds: float, method: str) -> Callable[[], None]:
    """Of the call that the running task handles, unless it is over by then.  Returns what calls
    it off."""
    handles = asyncio.current_task()
    waits = handles and _waiting.pop(handles, None)
    if not handles or not waits:
        return lambda: None
    timer = asyncio.get_running_loop().call_later(seconds, _cut, handles, waits, method, seconds)
    waits.add_done_callback(lambda _: timer.cancel())
    return timer.cancel


def _cut(handles: _Task, waits: _Task, method: str, seconds: float) -> None:
    _LOG.info("%s is cut after %g s: it had no whole request, or its answer isn't taken",
              method, seconds)
    handles.cancel()
    # Where the caller has gone meanwhile, the other ends of itself: it has its turn first.
    handles.add_done_callback(lambda _: asyncio.get_running_loop().call_soon(waits.cancel))
