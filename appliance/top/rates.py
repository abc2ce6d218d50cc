"""What two samples tell: rows for the tables, with what happened each second between them.

Rates are 0 where there is no former sample, or one of another life of the daemon.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from synproxy.v1 import stats_service_pb2 as api

from appliance.top.sample import Sample, syns_of


class ServiceRow(NamedTuple):
    """All but `name`, `cookies`, `connections`, `total` and `reason` are per second."""

    name: str
    cookies: bool           # SYNs are answered with them at the moment
    connections: int
    total: int              # SYNs since start
    syns: float = 0.0
    proved: float = 0.0
    opened: float = 0.0
    refused: float = 0.0
    silent: float = 0.0
    dropped: float = 0.0
    reason: str = ""        # that most was dropped for


class DropRow(NamedTuple):
    reason: str
    rate: float
    total: int
    meaning: str


class WorkerRow(NamedTuple):
    lcore: int
    busy: float             # share of the cycles in turns that had a frame
    connections: float      # shares of the tables in use
    half_open: float
    frames: float           # per second
    turns: float            # per second
    unsent: int             # frames, since start
    behind: bool            # has not seen the newest snapshot


class PortRow(NamedTuple):
    role: str
    device: str
    link_up: bool
    received: float         # frames per second
    received_bits: float    # per second
    sent: float
    sent_bits: float
    received_lost: int      # frames, since start: missed, without a buffer, with errors
    sent_lost: int


class MempoolRow(NamedTuple):
    name: str
    in_use: int
    size: int


def passed_s(now: Sample, then: Sample | None) -> float:
    """Seconds between two samples of one life of the daemon; else 0."""
    return max(now.uptime_s - then.uptime_s, 0.0) if then else 0.0


def rate(now: int, then: int, seconds: float) -> float:
    return max(now - then, 0) / seconds if seconds else 0.0


def share(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def service_rows(now: Sample, then: Sample | None) -> list[ServiceRow]:
    seconds = passed_s(now, then)
    former = then.services if then and seconds else {}
    return [
        _service(one, former.get(name), now.reasons, seconds)
        for name, one in now.services.items()
    ]


def _service(
    now: api.ServiceStats, then: api.ServiceStats | None, reasons: frozenset[str], seconds: float
) -> ServiceRow:
    counters = dict(now.counters)
    row = ServiceRow(now.name, now.cookies, now.connections, syns_of(counters),
                     reason=_worst(counters, counters, reasons))
    # Of thousands of services most have seen nothing since.
    if then is None or now.counters == then.counters:
        return row
    gained = {name: count - then.counters.get(name, 0) for name, count in counters.items()}

    def rates(names: Iterable[str]) -> float:
        return sum(rate(gained.get(name, 0), 0, seconds) for name in names)

    return row._replace(
        syns=rates(("syn_received", "syn_passed")), proved=rates(("cookie_valid",)),
        opened=rates(("server_established",)),
        refused=rates(("server_refused", "server_unreachable")),
        silent=rates(("server_timeout",)), dropped=rates(gained.keys() & reasons),
        reason=_worst(gained, counters, reasons),
    )


def _worst(
    gained: Mapping[str, int], counters: Mapping[str, int], reasons: frozenset[str]
) -> str:
    """ "" where nothing was dropped."""
    dropped = counters.keys() & reasons
    return max(dropped, key=lambda name: (gained[name], counters[name], name), default="")


def drop_rows(now: Sample, then: Sample | None) -> list[DropRow]:
    """What was dropped at all, with the most frequent at the moment first."""
    seconds = passed_s(now, then)
    former: Mapping[str, int] = then.totals if then else {}
    rows = [
        DropRow(name, rate(now.totals[name], former.get(name, 0), seconds), now.totals[name],
                now.meanings.get(name, ""))
        for name in now.reasons if now.totals[name]
    ]
    return sorted(rows, key=lambda row: (-row.rate, -row.total, row.reason))


def worker_rows(now: Sample, then: Sample | None) -> Iterator[WorkerRow]:
    seconds = passed_s(now, then)
    for lcore, one in now.workers.items():
        former = then.workers.get(lcore) if then and seconds else None
        since = former or api.WorkerStats()     # since start
        yield WorkerRow(
            lcore, _busy(one, since),
            share(one.connections, one.connections_max), share(one.half_open, one.half_open_max),
            rate(one.counters.get("received", 0), since.counters.get("received", 0), seconds),
            rate(one.turns, since.turns, seconds),
            one.counters.get("tx_full", 0), one.generation < now.generation,
        )


def _busy(one: api.WorkerStats, since: api.WorkerStats) -> float:
    if one.cycles <= since.cycles:
        return share(one.busy_cycles, one.cycles)
    return share(one.busy_cycles - since.busy_cycles, one.cycles - since.cycles)


def port_rows(now: Sample, then: Sample | None) -> Iterator[PortRow]:
    seconds = passed_s(now, then)
    for role, one in now.ports.items():
        since = (then.ports.get(role) if then else None) or api.PortStats()
        yield PortRow(
            role, one.device, one.link_up,
            rate(one.rx_packets, since.rx_packets, seconds),
            8 * rate(one.rx_bytes, since.rx_bytes, seconds),
            rate(one.tx_packets, since.tx_packets, seconds),
            8 * rate(one.tx_bytes, since.tx_bytes, seconds),
            one.rx_missed + one.rx_errors + one.rx_nombuf, one.tx_errors,
        )


def mempool_rows(now: Sample) -> Iterator[MempoolRow]:
    return (MempoolRow(one.name, one.in_use, one.size) for one in now.mempools)
