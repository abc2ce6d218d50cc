"""Those who watch the stats: all that ask for the same are served from one sampling.

A reader holds one sample.  Where it is slow the next one takes its place, and with it go the
services that only the lost one told of, so that their last state isn't lost, nor that they have
gone.

Its first one is its own, of everything.  It is taken between two of the sampling, so that whatever
changes from then on is in the next one.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import contextmanager
from functools import partial

from synproxy.v1 import stats_service_pb2 as api

from appliance.config.duration import NS_PER_S
from appliance.management.catalogue import Catalogue
from appliance.management.sampler import Sampler
from appliance.management.seats import NoSeatError, listener_here
from appliance.pausing import PAUSE_FACTOR
from appliance.supervision import Supervision
from cython_core.dataplane import Dataplane

# That readers at a listener take part in.  Where all listeners together have more the pauses are
# longer, so that all have a third of the control core at most.
SAMPLINGS_MAX = 8

Key = tuple[int, frozenset[str]]        # interval in nanoseconds, names of services


class Reader:
    def __init__(self) -> None:
        self.listener = listener_here()
        self._unread: api.WatchStatsResponse | None = None
        self._lost = 0
        # Of lost samples, and only what this reader can make something of.
        self._rested: dict[str, api.ServiceStats] = {}
        self._gone: dict[str, None] = {}        # in the order in which they went
        self._came: set[str] = set()            # nothing was read of them
        self._told = False
        self._arrived = asyncio.Event()

    def tell(self, sample: api.WatchStatsResponse, came: Collection[str] = ()) -> None:
        """`came` are the services that weren't there in the sample before."""
        if self._unread is not None:
            self._lost += 1
            self._rested.update((one.name, one) for one in self._unread.stats.services)
        for name in sample.gone:
            self._rested.pop(name, None)
            if name not in self._came:
                self._gone[name] = None
            self._came.discard(name)
        if self._told:          # its first may have told of those before
            self._came.update(came)
        self._told = True
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
        if self._lost:
            sample = self._joined(sample)
        self._lost = 0
        for kept in (self._rested, self._gone, self._came):
            kept.clear()
        return sample

    def _joined(self, sample: api.WatchStatsResponse) -> api.WatchStatsResponse:
        """It, and what of the lost ones still holds."""
        own = api.WatchStatsResponse()
        own.CopyFrom(sample)        # others read the same message
        own.lost = self._lost
        own.gone[:] = self._gone
        told = {service.name for service in own.stats.services}
        for name, service in self._rested.items():
            if name not in told:
                own.stats.services.add().CopyFrom(service)
                own.stats.services[-1].rates.clear()
        return own


class Sampling:
    """One for all readers of the same interval and services, while there are any."""

    def __init__(
        self, make: Callable[[], Sampler], interval_ns: int, count: Callable[[], int],
        supervision: Supervision,
    ) -> None:
        """`count` says how many samplings there are."""
        self.readers: set[Reader] = set()
        self._make = make
        self._interval_s = interval_ns / NS_PER_S
        self._count = count
        self._supervision = supervision
        self._begun: set[Reader] = set()        # those who have had their first
        self._taking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def first(self, reader: Reader) -> api.WatchStatsResponse:
        """Everything there is; what changes from then on is told to the reader."""
        async with self._taking:
            sampler = self._make()
            sample = await sampler.take()
            if self._task is None:
                self._task = self._supervision.keep("stats", partial(self._run, sampler))
            self._begun.add(reader)
            return sample

    def leave(self, reader: Reader) -> None:
        self.readers.discard(reader)
        self._begun.discard(reader)
        if not self.readers and self._task is not None:
            self._task.cancel()
            # What ends it knows this sampling, and with it the last sample: not the other way, too.
            self._task = None

    async def _run(self, sampler: Sampler) -> None:
        took_s = 0.0
        while True:
            pause_s = PAUSE_FACTOR * took_s * max(self._count() / SAMPLINGS_MAX, 1)
            await asyncio.sleep(max(self._interval_s - took_s, pause_s))
            async with self._taking:
                began_s = time.monotonic()
                sample = await sampler.take()
                for reader in self._begun:
                    reader.tell(sample, sampler.came)
                took_s = time.monotonic() - began_s


class Samplings:
    def __init__(
        self, catalogue: Catalogue, dataplane: Dataplane, supervision: Supervision
    ) -> None:
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._supervision = supervision
        self._samplings: dict[Key, Sampling] = {}

    @contextmanager
    def reader(
        self, interval_ns: int, services: frozenset[str]
    ) -> Iterator[tuple[Sampling, Reader]]:
        """Raises NoSeatError."""
        key = (interval_ns, services)
        self._check_room(key)
        if key not in self._samplings:
            make = partial(Sampler, self._catalogue, self._dataplane, services)
            self._samplings[key] = Sampling(
                make, interval_ns, self._samplings.__len__, self._supervision)
        reader, sampling = Reader(), self._samplings[key]
        sampling.readers.add(reader)
        try:
            yield sampling, reader
        finally:
            sampling.leave(reader)
            if not sampling.readers:
                del self._samplings[key]

    def _check_room(self, key: Key) -> None:
        """Raises NoSeatError where readers at this listener have as many others already."""
        here = listener_here()
        theirs = {one for one, sampling in self._samplings.items()
                  if any(reader.listener == here for reader in sampling.readers)}
        if key not in theirs and len(theirs) >= SAMPLINGS_MAX:
            raise NoSeatError(
                f"{SAMPLINGS_MAX} different intervals or sets of services are watched already at"
                " this listener; watch what another one does")
