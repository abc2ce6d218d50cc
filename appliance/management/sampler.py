"""What is counted, as one reader sees it: everything at first, then what has changed, with rates.

The data plane has one caller, so it is read in the event loop; services are taken in steps, between
which the loop serves others.
"""

import asyncio
import time
from collections.abc import Collection, Mapping

from synproxy.v1 import stats_service_pb2 as api

from appliance.config.duration import NS_PER_S, duration_of
from appliance.management.catalogue import Catalogue
from appliance.management.slots import Tenant
from cython_core.dataplane import DROP_REASONS, Dataplane, PortStats, Seen, WorkerStats

STEP = 256              # services read at once, some milliseconds where all are busy
_PORT_COUNTS = (
    "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_missed", "rx_errors", "tx_errors",
    "rx_nombuf",
)
_BEGAN_NS = time.monotonic_ns()     # about when the workers did


class Sampler:
    def __init__(
        self, catalogue: Catalogue, dataplane: Dataplane, only: Collection[str] = ()
    ) -> None:
        """`only` are names of services; empty: all."""
        self._catalogue = catalogue
        self._dataplane = dataplane
        self._only = frozenset(only)
        self._seen = Seen()
        self._listed: Mapping[int, Tenant] = {}         # as the catalogue has them
        self._tenants: dict[int, Tenant] = {}
        self.came: frozenset[str] = frozenset()     # who wasn't there a sample before
        self._taken_ns = 0
        self._workers: dict[int, WorkerStats] = {}
        self._ports: dict[str, PortStats] = {}

    async def take(self) -> api.WatchStatsResponse:
        """The services of which something has changed since the last call, and all there is of the
        rest."""
        now_ns = time.monotonic_ns()
        period_ns = now_ns - self._taken_ns if self._taken_ns else 0
        self._taken_ns = now_ns
        stats = api.GetStatsResponse(
            generation=self._catalogue.generation,
            draining=self._dataplane.draining != "none",
            workers=self._take_workers(period_ns / NS_PER_S),
            ports=self._take_ports(period_ns / NS_PER_S),
            mempools=[api.MempoolStats(**vars(pool)) for pool in self._dataplane.mempool_stats()],
        )
        stats.sample_time.GetCurrentTime()
        stats.uptime.CopyFrom(duration_of(now_ns - _BEGAN_NS))
        sample = api.WatchStatsResponse(gone=self._look())
        slots = list(self._tenants)
        for first in range(0, len(slots), STEP):
            stats.services.extend(self._take_services(slots[first:first + STEP],
                                                      period_ns / NS_PER_S))
            await asyncio.sleep(0)
        sample.stats.CopyFrom(stats)
        if period_ns:
            sample.period.CopyFrom(duration_of(period_ns))
        return sample

    def _look(self) -> list[str]:
        """Who is there now; returns who has gone.  One that has a former one's slot is fresh."""
        former, listed = self._tenants, self._catalogue.tenants()
        if listed is self._listed:
            self.came = frozenset()
            return []
        self._listed = listed
        self._tenants = {slot: tenant for slot, tenant in listed.items()
                         if not self._only or tenant.name in self._only}
        fresh = {slot for slot, tenant in self._tenants.items() if former.get(slot) != tenant}
        self._seen.fresh.update(fresh)
        before, now = set(former.values()), set(self._tenants.values())
        self.came = frozenset(tenant.name for tenant in now - before)
        return [tenant.name for tenant in former.values() if tenant not in now]

    def _take_services(self, slots: list[int], period_s: float) -> list[api.ServiceStats]:
        there = self._catalogue.tenants()   # one may have gone between two steps
        return [
            self._service(slot, counters, grown, period_s)
            for slot, counters, grown in self._dataplane.service_changes(slots, self._seen)
            if there.get(slot) == self._tenants[slot]
        ]

    def _service(
        self, slot: int, counters: dict[str, int], grown: dict[str, int], period_s: float
    ) -> api.ServiceStats:
        cookies = self._dataplane.service_cookies(slot)
        stats = api.ServiceStats(
            name=self._tenants[slot].name,
            # Thousands of services may be there, and few of them busy.
            counters={name: count for name, count in counters.items() if count},
            cookies=cookies.on,
            connections=self._dataplane.service_connections(slot),
            # What a former service of the slot had counted is none of this one's.
            rates=_rates({name: min(count, counters[name]) for name, count in grown.items()},
                         period_s),
        )
        if cookies.age_s is not None:
            stats.cookies_age.FromMilliseconds(round(cookies.age_s * 1000))
        return stats

    def _take_workers(self, period_s: float) -> list[api.WorkerStats]:
        former = self._workers
        self._workers = {worker.lcore: worker for worker in self._dataplane.worker_stats()}
        return [_worker(worker, former.get(lcore), period_s)
                for lcore, worker in self._workers.items()]

    def _take_ports(self, period_s: float) -> list[api.PortStats]:
        former = self._ports
        self._ports = {port.role: port for port in self._dataplane.port_stats()}
        return [_port(port, former.get(role), period_s) for role, port in self._ports.items()]


def _worker(worker: WorkerStats, former: WorkerStats | None, period_s: float) -> api.WorkerStats:
    gauges = dict(vars(worker))
    counted = gauges.pop("counters")
    stats = api.WorkerStats(
        counters={name: count for name, count in counted.items() if name not in DROP_REASONS},
        drops={name: count for name, count in counted.items() if name in DROP_REASONS},
        **gauges,
    )
    if former is not None:
        stats.rates.update(_rates(_grown(counted, former.counters), period_s))
        cycles = worker.cycles - former.cycles
        stats.busy_share = (worker.busy_cycles - former.busy_cycles) / cycles if cycles else 0
    return stats


def _port(port: PortStats, former: PortStats | None, period_s: float) -> api.PortStats:
    # The data plane's fields have the schema's names.
    stats = api.PortStats(**vars(port))
    if former is not None:
        now, then = ({name: getattr(one, name) for name in _PORT_COUNTS} for one in (port, former))
        stats.rates.update(_rates(_grown(now, then), period_s))
    return stats


def _grown(now: Mapping[str, int], then: Mapping[str, int]) -> dict[str, int]:
    return {name: count - then[name] for name, count in now.items()}


def _rates(grown: Mapping[str, int], period_s: float) -> dict[str, float]:
    if not period_s:
        return {}
    return {name: count / period_s for name, count in grown.items() if count}
