"""The contract stands in dataplane.pyi."""

import os
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import ip_network
from itertools import pairwise

from libc.stdint cimport uint64_t, uintptr_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cython_core.dpdk.crew cimport (
    Crew, crew_free, crew_generation, crew_launch, crew_make, crew_publish, crew_stop,
)
from cython_core.dpdk.tally cimport (
    tally_cookies, tally_learned, tally_service, tally_workers,
)
from cython_core.proxy.conntable cimport ACTIVITY_TICK_S
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.counters cimport SERVICES_MAX as ROWS_SERVICES
from cython_core.proxy.service cimport Rule, Service, Snapshot, snapshot_build, snapshot_free

from cython_core.dpdk import eal
from cython_core.dpdk.buffers import buffers_free, buffers_make, buffers_stats
from cython_core.dpdk.port import (
    port_attach, port_close, port_configure, port_start, port_stats, port_stop,
)
from cython_core.dpdk.terms import (
    CookieSwitch, DataplaneError, LearnedServer, MempoolStats, PortSpec, PortStats, Settings,
    WorkerStats,
)
from cython_core.proxy import counters
from cython_core.proxy.service import ACTIVATIONS, UNKNOWN_FLOWS

__all__ = [
    "COUNTERS", "COUNTER_HELP", "DPDK_VERSION", "DROP_REASONS", "PORT_RANGES_MAX", "RULES_MAX",
    "SERVICES_MAX", "SERVICE_COUNTERS", "CookieSwitch", "Dataplane", "DataplaneError",
    "LearnedServer", "MempoolStats", "PortSpec", "PortStats", "ServiceOptions", "ServiceSpec",
    "Settings", "WorkerStats",
]

COUNTERS = counters.NAMES
DROP_REASONS = counters.DROP_REASONS
COUNTER_HELP = counters.HELP
SERVICE_COUNTERS = COUNTERS
DPDK_VERSION = eal.VERSION
SERVICES_MAX = ROWS_SERVICES
PORT_RANGES_MAX = 64            # of one service: they are searched one by one
RULES_MAX = 1 << 16             # of all services: prefixes x port ranges
MAPPED = ip_network("::ffff:0:0/96")    # RFC 4291 §2.5.5.2: how IPv4 stands in floor 2
WSCALE_ABSENT = 15              # proxy/service: no window scale is announced


@dataclass(frozen=True)
class ServiceOptions:
    mss: int = 1460
    mss_ipv6: int = 1440
    wscale: int | None = 7
    sack: bool = True
    timestamps: bool = True
    ecn: bool = False
    syn_retries: int = 5
    syn_timeout_ms: int = 1000
    established_timeout_s: int = 28800
    half_closed_timeout_s: int = 3600
    time_wait_timeout_s: int = 120
    closed_timeout_s: int = 120
    learn_mss: bool = True
    learn_mss_ipv6: bool = True
    learn_wscale: bool = True
    early_data: bool = True
    activation: str = "always"
    unknown_flow: str = "forward"
    unknown_rate: int = 10_000
    syn_rate_mark: int = 10_000
    half_open_mark: int = 10_000
    hold_s: int = 60
    grace_s: int = 120


@dataclass(frozen=True)
class ServiceSpec:
    slot: int
    name: str
    prefixes: Sequence[str]
    ports: Sequence[tuple[int, int]]
    options: ServiceOptions = field(default_factory=ServiceOptions)


cdef class Dataplane:
    cdef Crew *crew
    cdef Snapshot *snapshot
    cdef dict __dict__

    def __init__(self, settings):
        with eal.talk_held_back(settings) as talk, ExitStack() as undo:
            eal.eal_start(settings, talk)
            undo.callback(eal.eal_stop)
            self.settings = settings
            self.ports = []
            undo.callback(self._close_ports)
            for role, port in (("client", settings.client_port), ("server", settings.server_port)):
                self.ports.append(
                    port_attach(role, port.device, len(settings.worker_lcores), talk))
            self.sockets = sorted({port.socket for port in self.ports})
            buffers_make(self.sockets, settings.mbufs)
            for port in self.ports:
                port_configure(port, settings, len(self.sockets) == 1, talk)
            self.crew = crew_make(settings, self.ports, os.urandom(16), os.urandom(16))
            self.replaced = []
            self.generation = 0
            self.rows = 1
            self.wscales = {}
            self.started = False
            self.running = False
            undo.pop_all()

    cdef Crew *workers(self) except NULL:
        if self.crew == NULL:
            raise DataplaneError("the data plane is closed")
        return self.crew

    def publish(self, services):
        cdef Crew *crew = self.workers()
        cdef Snapshot *snapshot
        wscales = dict(self.wscales)
        snapshot = compile_snapshot(self.generation + 1, services, wscales,
                                    len(self.settings.worker_lcores))
        self.generation += 1
        self.wscales = wscales
        self.rows = max([self.rows] + [service.slot + 2 for service in services])
        if self.snapshot != NULL:
            self.replaced.append((self.generation - 1, <uintptr_t>self.snapshot))
        self.snapshot = snapshot
        crew_publish(crew, snapshot)
        return self.generation

    def start(self):
        if self.snapshot == NULL:
            raise DataplaneError("start() before the first publish()")
        with eal.talk_held_back(self.settings) as talk:
            self.started = True
            for port in self.ports:
                port_start(port, talk)
        self.running = True
        crew_launch(self.workers())

    def generation_seen(self):
        seen = crew_generation(self.workers())
        while self.replaced and self.replaced[0][0] < seen:
            snapshot_free(<Snapshot *><uintptr_t>self.replaced.pop(0)[1])
        return seen

    def worker_stats(self):
        return tally_workers(self.workers(), self.rows)

    def service_counters(self, slot):
        return tally_service(self.workers(), row_of(slot))

    def service_cookies(self, slot):
        return cookies_together(tally_cookies(self.workers(), row_of(slot)))

    def learned_servers(self):
        cdef Crew *crew = self.workers()
        return [] if self.snapshot == NULL else tally_learned(crew, self.snapshot)

    def port_stats(self):
        self.workers()
        return [port_stats(port) for port in self.ports]

    def mempool_stats(self):
        self.workers()
        return buffers_stats(self.sockets)

    def rest(self):
        if self.running:
            self.running = False
            crew_stop(self.crew)

    def stop(self):
        self.rest()
        if not self.started:
            return
        self.started = False
        with eal.talk_held_back(self.settings):
            for port in self.ports:
                port_stop(port)

    def close(self):
        if self.crew == NULL:
            return
        self.stop()
        with eal.talk_held_back(self.settings):
            self._close_ports()
            crew_free(self.crew)
            buffers_free(self.sockets)
            eal.eal_stop()
        self.crew = NULL
        for _, address in self.replaced:
            snapshot_free(<Snapshot *><uintptr_t>address)
        snapshot_free(self.snapshot)

    def _close_ports(self):
        for port in self.ports:
            port_close(port)


def cookies_together(switches):
    """One CookieSwitch of several workers': on where any of them is, since the first of those; off
    since the last of all went off."""
    on = [switch.age_s for switch in switches if switch.on]
    if on:
        return CookieSwitch(True, None if None in on else max(on))
    off = [switch.age_s for switch in switches if switch.age_s is not None]
    return CookieSwitch(False, min(off, default=None))


def row_of(slot):
    if not 0 <= slot < SERVICES_MAX:
        raise ValueError(f"slot {slot} is not below {SERVICES_MAX}")
    return slot + 1


cdef Snapshot *compile_snapshot(uint64_t generation, services, dict wscales,
                                workers) except NULL:
    """`wscales` by slot is what was announced so far; it is brought up to date."""
    rules = rules_of(services)
    cdef Service *compiled = <Service *>calloc(len(services) + 1, sizeof(Service))
    cdef Rule *described = <Rule *>calloc(len(rules) + 1, sizeof(Rule))
    cdef Snapshot *snapshot
    try:
        if compiled == NULL or described == NULL:
            raise MemoryError
        for index, service in enumerate(services):
            wscales[service.slot] = wscale_announced(
                service, wscales.get(service.slot), int(time.time()))
            compile_service(&compiled[index], service, wscales[service.slot], workers)
        for index, rule in enumerate(rules):
            compile_rule(&described[index], rule)
        snapshot = snapshot_build(generation, compiled, len(services), described, len(rules))
    finally:
        free(compiled)
        free(described)
    if snapshot == NULL:
        raise MemoryError
    return snapshot


def rules_of(services):
    """(bits, address, first port, last port, index of the service), as snapshot_build wants them:
    the longest prefixes first, those of one prefix side by side."""
    rules = []
    slots = set()
    for index, service in enumerate(services):
        if not 0 <= service.slot < SERVICES_MAX:
            raise ValueError(f"service {service.name}: slot {service.slot}, of {SERVICES_MAX}")
        if service.slot in slots:
            raise ValueError(f"service {service.name}: slot {service.slot} twice")
        slots.add(service.slot)
        if len(service.ports) > PORT_RANGES_MAX:
            raise ValueError(f"service {service.name}: more than {PORT_RANGES_MAX} port ranges")
        for low, high in service.ports:
            if not 1 <= low <= high <= 65535:
                raise ValueError(f"service {service.name}: ports {low}-{high}")
        for prefix in map(prefix_of, service.prefixes):
            rules += [(*prefix, low, high, index) for low, high in service.ports]
    if len(rules) > RULES_MAX:
        raise ValueError(f"{len(rules)} pairs of prefix and port range, of {RULES_MAX}")
    rules.sort(key=lambda rule: (-rule[0], *rule[1:]))
    for former, later in pairwise(rules):
        if former[:2] == later[:2] and later[2] <= former[3]:
            names = " and ".join(services[rule[4]].name for rule in (former, later))
            raise ValueError(f"services {names} have port {later[2]} of one prefix in common")
    return rules


def prefix_of(text):
    """Length and address in 128 bits, IPv4 behind ::ffff:0:0/96.  ValueError with host bits."""
    network = ip_network(text)
    if network.version == 4:
        return network.prefixlen + 96, MAPPED.network_address.packed[:12] + network[0].packed
    if network.overlaps(MAPPED):
        raise ValueError(f"{text} holds IPv4's mapped addresses, {MAPPED}; 2000::/3 is all global"
                         " unicast")
    return network.prefixlen, network[0].packed


def wscale_announced(service, former, now_s):
    """What of the slot's wscale its cookies still need: (name, now, former, the last epoch in
    which the former one was announced).  A change within that epoch keeps the former one."""
    wscale = WSCALE_ABSENT if service.options.wscale is None else service.options.wscale
    # Workers may see the snapshot in the next second, and it may belong to the next epoch.
    epoch = (now_s + 1) // COOKIE_EPOCH_S
    if former is None or former[0] != service.name:
        return service.name, wscale, wscale, 0
    if wscale == former[1] or epoch <= former[3]:
        return service.name, wscale, *former[2:]
    return service.name, wscale, former[1], epoch


cdef int compile_service(Service *compiled, service, wscales, workers) except -1:
    options = service.options
    compiled.row = service.slot + 1
    compiled.tag = int.from_bytes(sha256(service.name.encode()).digest()[:4], "big")
    compiled.mss = options.mss
    compiled.mss_ipv6 = options.mss_ipv6
    _, compiled.wscale, compiled.wscale_former, compiled.wscale_former_until = wscales
    compiled.sack = options.sack
    compiled.timestamps = options.timestamps
    compiled.ecn = options.ecn
    compiled.syn_retries = options.syn_retries
    compiled.syn_timeout_ms = options.syn_timeout_ms
    compiled.established_ticks = ticks_of(options.established_timeout_s)
    compiled.half_closed_ticks = ticks_of(options.half_closed_timeout_s)
    compiled.time_wait_ticks = ticks_of(options.time_wait_timeout_s)
    compiled.closed_ticks = ticks_of(options.closed_timeout_s)
    compiled.mss_auto = options.learn_mss
    compiled.mss_ipv6_auto = options.learn_mss_ipv6
    compiled.wscale_auto = options.learn_wscale and options.wscale is not None
    compiled.early_data = options.early_data
    compiled.activation = ACTIVATIONS.index(options.activation)
    compiled.unknown_flow = UNKNOWN_FLOWS.index(options.unknown_flow)
    # Each worker sees its share of the load.
    compiled.unknown_rate = share(options.unknown_rate, workers)
    compiled.syn_rate_mark = share(options.syn_rate_mark, workers)
    compiled.half_open_mark = share(options.half_open_mark, workers)
    compiled.hold_ms = options.hold_s * 1000
    compiled.grace_ms = options.grace_s * 1000
    return 0


def share(total, workers):
    return -(-total // workers)


def ticks_of(seconds):
    return max(seconds // ACTIVITY_TICK_S, 1)


cdef int compile_rule(Rule *described, rule) except -1:
    described.bits, address, described.port_low, described.port_high, described.service = rule
    memcpy(described.address, <const unsigned char *>address, 16)
    return 0
