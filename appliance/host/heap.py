"""Keeps what the process holds close to what is in use: mallopt(3), malloc_trim(3), gc."""

import asyncio
import ctypes
import gc
import time

M_ARENA_MAX = -8        # malloc.h
TRIM_S = 10.0
PAUSE_FACTOR = 1000     # of the control core a thousandth, at most


def heap_bound() -> None:
    """To be called before there are threads.

    Left to itself glibc gives each of gRPC's threads an arena, which keeps the most that was ever
    wanted of it.  When a large block is to be mapped, rather than taken from the arena, stays
    glibc's choice: each one that is unmapped again interrupts the workers' cores, which have this
    memory in their page tables, too (`make disturbance`).
    """
    ctypes.CDLL(None).mallopt(M_ARENA_MAX, 1)


async def heap_tend() -> None:
    """Without end: garbage is collected, and each page of which nothing is in use is given back.

    Python itself looks for what is older only when 70,000 more objects have come than gone, which
    are some MiB.  A look through what has come since the start takes some milliseconds, and 80 with
    10,000 services anew: then the next comes later.  The pages take 0.2 ms.
    """
    libc = ctypes.CDLL(None)
    pause_s = TRIM_S
    while True:
        await asyncio.sleep(pause_s)
        began_s = time.thread_time()
        if gc.isenabled():
            gc.collect()
        libc.malloc_trim(0)
        pause_s = max(TRIM_S, PAUSE_FACTOR * (time.thread_time() - began_s))
