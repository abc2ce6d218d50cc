"""One look at all that the data plane counts; metrics and the page are made of it.

The data plane has one caller, so it is read in the event loop, in steps between which the loop
serves others: numbers of one reading are of moments some milliseconds apart.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from prometheus_client import Metric

from appliance.config_file import FileState
from appliance.management.catalogue import Catalogue
from appliance.management.standing import Standing, standing_of
from appliance.management.turning import Turning
from appliance.metrics.expiries import Expiries
from appliance.supervision import Supervision
from cython_core.dataplane import (
    Beginning,
    CookieSwitch,
    MempoolStats,
    PortStats,
    ServiceSpec,
    WorkerStats,
)

# Who asks sooner gets the former reading: so many askers cost no more than one.
FRESH_S = 0.5
# Services read in one step, about a millisecond.
STEP = 128


class Plane(Protocol):
    """What of the data plane this module uses."""

    @property
    def draining(self) -> str: ...
    @property
    def beginning(self) -> Beginning: ...
    def worker_stats(self) -> list[WorkerStats]: ...
    def service_counters(self, slot: int) -> dict[str, int]: ...
    def service_connections(self, slot: int) -> int: ...
    def service_cookies(self, slot: int) -> CookieSwitch: ...
    def port_stats(self) -> list[PortStats]: ...
    def mempool_stats(self) -> list[MempoolStats]: ...


@dataclass(frozen=True)
class ServiceReading:
    """`counters` are over all workers, without those that are 0."""

    name: str
    activation: str                    # "always", "auto", "monitor", "off"
    cookies: bool                      # SYNs are answered with cookies at the moment
    connections: int                   # entries of the table, as the last whole look has met them
    counters: Counter[str]

    @property
    def overloaded(self) -> bool:
        """A mark of load was passed and the load has not come down since.  Of "monitor" only
        counts tell that, and a change of `activation` under load ends it without one."""
        if self.activation == "monitor":
            return self.counters["cookies_on"] > self.counters["cookies_off"]
        return self.activation == "auto" and self.cookies


@dataclass(frozen=True)
class Reading:
    uptime_s: float                    # since the services were first published
    started_s: float                   # the same moment, in seconds since 1970
    generation: int                    # the newest snapshot that was published
    beginning: Beginning               # what goes on of the daemon before
    ready: bool                        # the workers run
    draining: bool                     # they take no new connections
    workers: Sequence[WorkerStats]
    stuck: Sequence[int]               # lcores of workers that make no turn
    stalls: Mapping[int, int]          # how often each was, since start, by lcore
    control_stalls: int                # and the control thread
    services: Sequence[ServiceReading]
    leaving: Counter[str]              # connections of what has left, by the name that it had
    ports: Sequence[PortStats]
    mempools: Sequence[MempoolStats]
    configuration: Standing
    apply_times: Metric
    task_failures: Mapping[str, int]   # since start, by the task's name
    expiries: Mapping[tuple[str, str], float]   # of certificates, by listener and file: since 1970


class Reader:
    def __init__(
        self, catalogue: Catalogue, plane: Plane, file: FileState, turning: Turning,
        supervision: Supervision, expiries: Expiries,
    ) -> None:
        self.ready = False
        self._file = file
        self._catalogue = catalogue
        self._plane = plane
        self._turning = turning
        self._supervision = supervision
        self._expiries = expiries
        self._began_s = time.monotonic()
        self._started_s = time.time()
        self._last: Reading | None = None
        self._reading = asyncio.Lock()

    async def read(self) -> Reading:
        """At most FRESH_S old.  Raises DataplaneError once the data plane is closed."""
        async with self._reading:
            if self._last is None or self._uptime_s() - self._last.uptime_s > FRESH_S:
                self._last = await self._take()
            return self._last

    def _uptime_s(self) -> float:
        return time.monotonic() - self._began_s

    async def _take(self) -> Reading:
        workers, uptime_s = self._plane.worker_stats(), self._uptime_s()
        services = await self._services()
        return Reading(
            uptime_s=uptime_s,
            started_s=self._started_s,
            generation=self._catalogue.generation,
            beginning=self._plane.beginning,
            ready=self.ready,
            draining=self._plane.draining != "none",
            workers=workers,
            stuck=self._turning.stuck,
            stalls=self._turning.stalls,
            control_stalls=self._turning.control_stalls,
            services=services,
            leaving=await self._leaving(),
            ports=self._plane.port_stats(),
            mempools=self._plane.mempool_stats(),
            configuration=standing_of(self._catalogue, self._file),
            apply_times=self._catalogue.apply_times.metric(),
            task_failures=self._supervision.failures,
            # Their disk may be slow to answer.
            expiries=await asyncio.to_thread(self._expiries.take),
        )

    async def _services(self) -> list[ServiceReading]:
        services: list[ServiceReading] = []
        specs = self._catalogue.specs()
        for first in range(0, len(specs), STEP):
            there = self._catalogue.names()     # one may have gone by now, its slot be another's
            services += (
                self._service(spec) for spec in specs[first : first + STEP]
                if there.get(spec.slot) == spec.name
            )
            await asyncio.sleep(0)
        return services

    async def _leaving(self) -> Counter[str]:
        """Several that had one name, one after the other, are one."""
        leaving: Counter[str] = Counter()
        for name, connections in await self._catalogue.leaving():
            leaving[name] += connections
        return leaving

    def _service(self, spec: ServiceSpec) -> ServiceReading:
        counted = self._plane.service_counters(spec.slot)
        counters = Counter({name: count for name, count in counted.items() if count})
        return ServiceReading(
            name=spec.name,
            activation=spec.options.activation,
            cookies=self._plane.service_cookies(spec.slot).on,
            connections=self._plane.service_connections(spec.slot),
            counters=counters,
        )
