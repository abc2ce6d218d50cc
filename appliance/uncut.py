"""What must not stop half way when its caller goes away."""

import asyncio
from collections.abc import Coroutine
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
