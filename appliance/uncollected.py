"""Thousands of objects made at once, without Python's collector of garbage."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Of what is made meanwhile nothing is garbage, and the collector would look through all of it
    again and again, with thousands of services for nearly half of the time, while every thread
    waits."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()
