"""A reading as Prometheus's metric families.

    synproxy_<counter>_total{worker}            what a worker counts, over all services
    synproxy_service_<counter>_total{service}   the same of one service, over all workers
    ..._dropped_total{..., reason}              the drops of either

Sums of one kind count everything once.  A worker's series are there from the start, so that a rate
sees the first event; thousands of services can't have that: of theirs only ALWAYS_TOLD are, the
others once they have counted anything.  A service's series end with it, and begin at 0 where one of
its name is created again; what it has counted stays in its workers'.

Reading list: https://prometheus.io/docs/practices/naming/, .../instrumenting/writing_clientlibs/.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from appliance.management.standing import Standing
from appliance.metrics.reading import Reading, ServiceReading
from cython_core.dataplane import (
    COUNTER_HELP,
    COUNTERS,
    DPDK_VERSION,
    DROP_REASONS,
    Beginning,
    PortStats,
    WorkerStats,
)

VERSION = version("synproxy-appliance")
# What tells an idle service from an attacked one and from one that is served.
ALWAYS_TOLD = (
    "syn_received", "syn_passed", "synack_sent", "cookie_valid", "server_established",
)

_EVENTS = tuple(name for name in COUNTERS if name not in DROP_REASONS)
_DROPPED_HELP = "Frames dropped, by reason.  " + "  ".join(
    f"{reason}: {COUNTER_HELP[reason]}" for reason in DROP_REASONS
)

# Metric → (field of the data plane's, help).
_WORKER_COUNTERS = {
    "worker_turns": ("turns", "Turns of the poll loop; one that makes none is stuck."),
    "worker_busy_turns": ("busy_turns", "Turns of the poll loop with at least one frame."),
    "worker_cycles": ("cycles", "TSC cycles since the worker started."),
    "worker_busy_cycles": ("busy_cycles", "TSC cycles of turns with at least one frame."),
    "worker_handed_in": ("handed_in", "Frames that other workers handed over to their owner."),
    "worker_handed_out": ("handed_out", "Frames handed over to the workers that own them."),
}
_WORKER_GAUGES = {
    "connections": ("connections", "Entries in use of the worker's connection table."),
    "connections_limit": ("connections_max", "Entries that the table has room for."),
    "half_open": ("half_open", "Connections that wait for their server's SYN-ACK."),
    "half_open_limit": ("half_open_max", "How many of them there may be."),
    "worker_generation": ("generation", "The newest snapshot that the worker has seen."),
}
_PORT_COUNTERS = {
    "port_receive_packets": ("rx_packets", "Frames received."),
    "port_transmit_packets": ("tx_packets", "Frames sent."),
    "port_receive_bytes": ("rx_bytes", "Bytes received."),
    "port_transmit_bytes": ("tx_bytes", "Bytes sent."),
    "port_receive_missed": ("rx_missed", "Frames lost because no descriptor was free."),
    "port_receive_errors": ("rx_errors", "Frames that came in damaged."),
    "port_transmit_errors": ("tx_errors", "Frames that could not be sent."),
    "port_receive_without_buffer": ("rx_nombuf", "Frames lost because no buffer was free."),
}


class ReadingCollector(Collector):
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        reading = self._reading
        yield from _daemon(reading)
        yield from _beginning(reading.beginning)
        yield from _configuration(reading.configuration)
        yield reading.apply_times
        yield _counter("task_failures", "How often a task of the daemon failed, and began again.",
                       "task", reading.task_failures)
        yield _expiries(reading.expiries)
        yield from _workers(reading.workers)
        yield from _stalls(reading)
        yield from _services(reading.services)
        yield _gauge("leaving_connections", "Connections that outlive their service.", "service",
                     reading.leaving)
        yield from _ports(reading.ports)
        pools = [(pool.name, pool) for pool in reading.mempools]
        yield from (
            _gauge("mempool_buffers", "Packet buffers of a pool.", "mempool",
                   {name: pool.size for name, pool in pools}),
            _gauge("mempool_buffers_in_use", "Of them, with a port, a queue or a worker.",
                   "mempool", {name: pool.in_use for name, pool in pools}),
        )


def _daemon(reading: Reading) -> Iterator[Metric]:
    yield InfoMetricFamily(
        "synproxy_build", "What runs.", value={"version": VERSION, "dpdk": DPDK_VERSION})
    for name, meaning, value in (
        ("ready", "Whether the workers run and have seen the first snapshot.", reading.ready),
        ("draining", "Whether they take no new connections.", reading.draining),
        ("generation", "The newest snapshot that was published.", reading.generation),
        ("start_time_seconds", "When the daemon started, since 1970.", reading.started_s),
        ("uptime_seconds", "How long ago that was.", reading.uptime_s),
        ("services", "Protected services.", len(reading.services)),
    ):
        yield GaugeMetricFamily(f"synproxy_{name}", meaning, value=float(value))


def _stalls(reading: Reading) -> Iterator[Metric]:
    lcores = [worker.lcore for worker in reading.workers]
    yield _gauge("worker_stuck", "Whether the worker has made no turn for 1 s.", "worker",
                 {str(lcore): lcore in reading.stuck for lcore in lcores})
    yield _counter("worker_stalls", "How often it made none for that long.", "worker",
                   {str(lcore): reading.stalls.get(lcore, 0) for lcore in lcores})
    yield CounterMetricFamily(
        "synproxy_control_stalls", "How often the control thread made no look for 2 s.",
        value=float(reading.control_stalls))


def _beginning(beginning: Beginning) -> Iterator[Metric]:
    for name, meaning, value in (
        ("warm", "Whether connections of the daemon before go on.", beginning.warm),
        ("kept", "Whether connections will outlive this one.", not beginning.unkept),
        ("after_stall", "Whether a worker that made no turn ended it; of a shard file alone.",
         bool(beginning.stall)),
        ("gap_seconds", "From its last turn until this one took over; 0 where it is cold.",
         beginning.gap_s if beginning.warm else 0),
    ):
        yield GaugeMetricFamily(f"synproxy_start_{name}", meaning, value=float(value))
    yield _gauge("start_entries", "Entries of the daemon before, by what has become of them.",
                 "fate", beginning.entries)


def _configuration(standing: Standing) -> Iterator[Metric]:
    for name, meaning, value in (
        ("file_taken", "Whether the file was, when it was last read; else the former runs.",
         standing.file_taken),
        ("file_taken_time_seconds", "When it was last taken, since 1970.", standing.file_taken_s),
        ("revision", "The newest, which runs.", standing.revision),
        ("unconfirmed", "Whether it waits for its confirmation.", standing.waits),
        ("persistent", "Whether it survives a restart.", standing.persistent),
        ("kept", "Whether it does or need not, and the last write went well.", standing.kept),
        ("acknowledged", "Whether all workers run what was published, but for the last 5 s.",
         not standing.late),
    ):
        yield GaugeMetricFamily(f"synproxy_config_{name}", meaning, value=float(value))
    for name, meaning, value in (
        ("reloads", "How often the file was taken since start.", standing.taken_total),
        ("reloads_refused", "How often it wasn't.", standing.refused_total),
    ):
        yield CounterMetricFamily(f"synproxy_config_{name}", meaning, value=float(value))


def _expiries(expiries: Mapping[tuple[str, str], float]) -> Metric:
    family = GaugeMetricFamily(
        "synproxy_certificate_not_after_timestamp_seconds",
        "When a listener's certificate expires, or the last of its callers' authorities does.",
        labels=("listener", "file"))
    for place, ends_s in expiries.items():
        family.add_metric(place, ends_s)
    return family


def _workers(workers: Iterable[WorkerStats]) -> Iterator[Metric]:
    stats = {str(worker.lcore): worker for worker in workers}
    for name in _EVENTS:
        yield _counter(name, COUNTER_HELP[name], "worker",
                       {lcore: worker.counters[name] for lcore, worker in stats.items()})
    dropped = CounterMetricFamily(
        "synproxy_dropped", _DROPPED_HELP, labels=("worker", "reason"))
    for lcore, worker in stats.items():
        for reason in DROP_REASONS:
            dropped.add_metric((lcore, reason), worker.counters[reason])
    yield dropped
    yield from _fields(stats, "worker", _WORKER_COUNTERS, _WORKER_GAUGES)


def _services(services: Sequence[ServiceReading]) -> Iterator[Metric]:
    events = {
        name: _counter(f"service_{name}", COUNTER_HELP[name], "service", {}) for name in _EVENTS
    }
    dropped = CounterMetricFamily(
        "synproxy_service_dropped", _DROPPED_HELP, labels=("service", "reason"))
    active = GaugeMetricFamily(
        "synproxy_service_cookies_active",
        "Whether load has turned cookies on; of services with `activation: AUTO` that have met it.",
        labels=("service",))
    for service in services:
        for name in {*ALWAYS_TOLD, *service.counters}:
            count = service.counters[name]
            if name in events:
                events[name].add_metric((service.name,), count)
            else:
                dropped.add_metric((service.name, name), count)
        if service.activation == "auto" and service.counters["cookies_on"]:
            active.add_metric((service.name,), float(service.overloaded))
    yield _gauge("service_connections", "Entries of the connection tables.", "service",
                 {service.name: service.connections for service in services})
    yield from (family for family in (*events.values(), dropped, active) if family.samples)


def _ports(ports: Iterable[PortStats]) -> Iterator[Metric]:
    stats = {port.role: port for port in ports}
    yield from _fields(stats, "port", _PORT_COUNTERS, {})
    yield _gauge("port_up", "Whether the port has a link.", "port",
                 {role: port.link_up for role, port in stats.items()})


def _fields(
    stats: Mapping[str, object], label: str,
    counters: Mapping[str, tuple[str, str]], gauges: Mapping[str, tuple[str, str]],
) -> Iterator[Metric]:
    for make, metrics in ((_counter, counters), (_gauge, gauges)):
        for name, (field, meaning) in metrics.items():
            yield make(name, meaning, label,
                       {value: getattr(one, field) for value, one in stats.items()})


def _counter(
    name: str, meaning: str, label: str, values: Mapping[str, float]
) -> CounterMetricFamily:
    family = CounterMetricFamily(f"synproxy_{name}", meaning, labels=(label,))
    for whose, value in values.items():
        family.add_metric((whose,), value)
    return family


def _gauge(name: str, meaning: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(f"synproxy_{name}", meaning, labels=(label,))
    for whose, value in values.items():
        family.add_metric((whose,), float(value))
    return family
