"""Those who watch the stats: all that ask for the same are served from one sampling.

A reader holds one sample.  Where it is slow the next one takes its place, and with it go the
services that only the lost one told of, so that their last state isn't lost.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

from synproxy.v1 import stats_service_pb2 as api

from appliance.config.duration import NS_PER_S
from appliance.management.catalogue import Catalogue
from appliance.management.sampler import Sampler
from cython_core.dataplane import Dataplane

READERS_MAX = 64
SAMPLINGS_MAX = 8
# A sampling pauses for so many times as long as its last sample took: each has 4 % of the control
# core at most.
PAUSE_FACTOR = 24

Key = tuple[int, frozenset[str]]        # interval in nanoseconds, names of services


class TooManyReadersError(Exception):
    """There are as many as the daemon bears."""


class Reader:
    def __init__(self) -> None:
        self._unread: api.WatchStatsResponse | None = None
        self._lost = 0
        self._rested: dict[str, api.ServiceStats] = {}      # of lost samples
        self._arrived = asyncio.Event()

    def tell(self, sample: api.WatchStatsResponse) -> None:
        if self._unread is not None:
            self._lost += 1
            self._rested.update((one.name, one) for one in self._unread.stats.services)
        self._unread = sample
        self._arrived.set()

    async def samples(self) -> AsyncIterator[api.WatchStatsResponse]:
        while True:
            await self._arrived.wait()
            yield self._read()

    def _read(self) -> api.WatchStatsResponse:
        self._arrived.clear()
        sample, self._unread = self._unread, None
        assert sample is not None
        if not self._lost:
            return sample
        # Others read the same message.
        own = api.WatchStatsResponse()
        own.CopyFrom(sample)
        own.lost, self._lost = self._lost, 0
        told = {service.name for service in own.stats.services}
        for name, service in self._rested.items():
            if name not in told:
                own.stats.services.add().CopyFrom(service)
                own.stats.services[-1].rates.clear()
        self._rested.clear()
        return own


class Sampling:
    """One for all readers of the same interval and services, while there are any."""

    def __init__(self, sampler: Sampler, interval_ns: int) -> None:
        self.readers: set[Reader] = set()
        self._sampler = sampler
        self._interval_s = interval_ns / NS_PER_S
        self._task = asyncio.create_task(self._run())

    def end(self) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        await self._sampler.take()
        took_s = 0.0
        while True:
            await asyncio.sleep(max(self._interval_s - took_s, PAUSE_FACTOR * took_s))
            began_s = time.monotonic()
            sample = await self._sampler.take()
            for reader in self.readers:
                reader.tell(sample)
            took_s = time.monotonic() - began_s


class Samplings:
    def __init__(self, catalogue: Catalogue, dataplane: Dataplane) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._samplings: dict[Key, Sampling] = {}

    @contextmanager
    def reader(self, interval_ns: int, services: frozenset[str]) -> Iterator[Reader]:
        """Raises TooManyReadersError."""
        key = (interval_ns, services)
        readers = sum(len(sampling.readers) for sampling in self._samplings.values())
        if readers >= READERS_MAX:
            raise TooManyReadersError(f"{READERS_MAX} watch already")
        if key not in self._samplings:
            if len(self._samplings) >= SAMPLINGS_MAX:
                raise TooManyReadersError(
                    f"{SAMPLINGS_MAX} different intervals or sets of services are watched already;"
                    " watch what another one does")
            sampler = Sampler(self._catalogue, self._dataplane, services)
            self._samplings[key] = Sampling(sampler, interval_ns)
        reader, sampling = Reader(), self._samplings[key]
        sampling.readers.add(reader)
        try:
            yield reader
        finally:
            sampling.readers.discard(reader)
            if not sampling.readers:
                sampling.end()
                del self._samplings[key]
