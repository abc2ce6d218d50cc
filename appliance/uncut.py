"""What must not stop half way when its caller goes away."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import TypeVar

Result = TypeVar("Result")


async def uncut(work: Coroutine[None, None, Result]) -> Result:
    """Runs it to its end; a caller that is cancelled meanwhile is so afterwards."""
    task = asyncio.create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        while not task.done():
            with suppress(asyncio.CancelledError):
                await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()        # nobody is left to hear of it
        raise


class Aside:
    """Work in a thread, one at a time, whoever asks for it and goes away meanwhile: who only looks
    is not to have the threads that changes need."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def run(self, work: Callable[[], Result]) -> Result:
        async with self._free:
            return await uncut(asyncio.to_thread(work))
