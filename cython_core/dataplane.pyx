"""The contract stands in dataplane.pyi."""

import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from libc.stdint cimport uint8_t, uint32_t, uintptr_t

from cython_core.dpdk.connections cimport connections_delete, connections_deleted, connections_take
from cython_core.dpdk.crew cimport (
    Crew, crew_free, crew_generation, crew_launch, crew_make, crew_publish, crew_stop,
)
from cython_core.dpdk.inheritance cimport inheritance_take
from cython_core.dpdk.rss cimport rss_join
from cython_core.dpdk.shards cimport Shards
from cython_core.dpdk.states cimport states_clock_s, states_watchdog, states_workers
from cython_core.dpdk.tally cimport (
    tally_changes, tally_connections, tally_cookies, tally_learned, tally_service, tally_sweeps,
    tally_workers,
)
from cython_core.dpdk.recording cimport recording_begin, recording_end, recording_take
from cython_core.dpdk.reports cimport reports_passed_over, reports_switch, reports_take
from cython_core.dpdk.watchdog cimport watchdog_beat
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.drain cimport snapshot_drain
from cython_core.proxy.secrets cimport SECRET_BYTES, secrets_rotate
from cython_core.proxy.service cimport Snapshot, snapshot_free
from cython_core.proxy.shard_file cimport shard_file_keep_secrets, shard_file_secrets
from cython_core.proxy.slots cimport slot_row
from cython_core.roster cimport Draft, Roster

from cython_core.dpdk import eal, recording
from cython_core.dpdk.buffers import (
    buffers_free, buffers_make, buffers_states, buffers_stats,
)
from cython_core.dpdk.eal import log_to
from cython_core.dpdk.nic import port_state
from cython_core.dpdk.port import (
    port_attach, port_close, port_configure, port_start, port_stats, port_stop,
)
from cython_core.dpdk.states import VECTORS
from cython_core.dpdk.terms import (
    Beginning, CaptureFilter, Connection, ConnectionFilter, CookieSwitch, DataplaneError, Event,
    LearnedServer, MempoolState, MempoolStats, NoMemoryError, PortSpec, PortState, PortStats,
    Rotation, Seen, Settings, TableFill, WatchdogState, WorkerState, WorkerStats,
    cookies_together,
)
from cython_core.proxy import conntable, counters, events
from cython_core.proxy.drain import DRAINS
from cython_core.roster import PORT_RANGES_MAX, RULES_MAX

cdef extern from *:
    const unsigned int CYTHON_HEX_VERSION       # of the Cython that made this: 0x03020100

__all__ = [
    "CAPTURE_REASONS", "CONNECTION_STATES", "COOKIE_LIFE_S", "COUNTERS", "COUNTER_HELP",
    "CYTHON_VERSION", "DPDK_VERSION", "DRAINS", "DROP_REASONS", "EVENT_REASONS",
    "PORT_RANGES_MAX", "RULES_MAX", "SERVICE_COUNTERS", "Beginning", "CaptureFilter", "Connection",
    "ConnectionFilter", "CookieSwitch", "Dataplane", "DataplaneError", "Event", "LearnedServer",
    "MempoolState", "MempoolStats", "NoMemoryError", "PortSpec", "PortState", "PortStats",
    "Rotation", "Seen", "ServiceOptions", "ServiceSpec", "Settings", "TableFill", "VECTORS",
    "WatchdogState", "WorkerState", "WorkerStats", "log_to",
]

COUNTERS = counters.NAMES
DROP_REASONS = counters.DROP_REASONS
COUNTER_HELP = counters.HELP
SERVICE_COUNTERS = COUNTERS
COOKIE_LIFE_S = 2 * COOKIE_EPOCH_S
CONNECTION_STATES = conntable.STATES[1:]
EVENT_REASONS = events.EVENT_REASONS
CAPTURE_REASONS = recording.REASONS
DPDK_VERSION = eal.VERSION
CYTHON_VERSION = ".".join(str(CYTHON_HEX_VERSION >> shift & 0xFF) for shift in (24, 16, 8))
SWEEPS_WHOLE = 3        # one under way, one whole, and the next that tells what that one counted


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
    active_timeout_s: int = 300
    open_rate: int = 0
    open_burst: int = 1000
    source_rate: int = 0
    source_burst: int = 100
    source_prefix: int = 24
    source_prefix_ipv6: int = 56
    pacing_rate: int = 0
    pacing_burst: int = 10
    pacing_wait_ms: int = 5000


@dataclass(frozen=True)
class ServiceSpec:
    slot: int
    name: str
    prefixes: Sequence[str]
    ports: Sequence[tuple[int, int]]
    options: ServiceOptions = field(default_factory=ServiceOptions)


cdef class Dataplane:
    def __init__(self, settings):
        cdef Shards shards
        self.log_level = settings.eal_log_level
        with eal.talk_held_back(self.log_level) as talk, ExitStack() as undo:
            self.eal_arguments = eal.eal_start(settings, talk)
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
            shards = Shards(settings)
            undo.callback(shards.close)
            self.shards = shards
            self.crew = crew_make(settings, self.ports, os.urandom(16), shards)
            self.roster = Roster(settings.services, len(settings.worker_lcores))
            self.replaced = []
            self.generation = 0
            if shards.former != NULL:
                self.secrets_asked = shard_file_secrets(shards.former)[0]
            else:
                self.rotate_secret(0)
            self.secrets = self.secrets_asked
            self.beginning = Beginning(warm=False)      # until start()
            self.draining = self.draining_asked = "none"
            self.left_at = {}
            self.offsets = {}       # by slot: the counters of the services that had it before
            self.deletions = set()  # (worker, number): those that no one has heard the end of
            self.started = False
            self.running = False
            undo.pop_all()

    cdef Crew *workers(self) except NULL:
        if self.crew == NULL:
            raise DataplaneError("the data plane is closed")
        return self.crew

    def publish(self, services):
        try:
            return self.publish_whole(list(services))
        except MemoryError:
            raise NoMemoryError("no memory for another snapshot, and nothing is changed: give the"
                                " daemon more, or end what else takes it") from None
        finally:
            self.draining_asked, self.secrets_asked = self.draining, self.secrets

    def publish_whole(self, services):
        cdef Crew *crew = self.workers()
        cdef Draft draft = self.roster.draft(
            self.generation + 1, services, self.drained(), states_clock_s(crew))
        cdef dict given_up = self.roster.given_up
        cdef dict offsets = self.offsets
        cdef list replaced = self.replaced
        if self.snapshot != NULL:
            offsets = offsets | {slot: tally_service(crew, self.row(slot))
                                 for slot in draft.opened}
            replaced = [*replaced, (self.generation, <uintptr_t>self.snapshot)]
        snapshot_drain(draft.snapshot, DRAINS.index(self.draining_asked))
        draft.snapshot.secrets = self.secrets_asked
        # Another look may begin before the workers have the snapshot.
        sweeps = [sweep + 1 for sweep in tally_sweeps(crew)]
        # What has given up more begins to leave anew.
        left_at = {slot: self.left_at.get(slot, sweeps) if given_up.get(slot) is rules else sweeps
                   for slot, rules in draft.given_up.items()}
        generation = self.generation + 1
        # All of it is there: from here on nothing can fail.
        if self.shards.file != NULL:
            shard_file_keep_secrets(self.shards.file, &self.secrets_asked)
        self.snapshot = self.roster.take(draft)
        crew_publish(crew, self.snapshot)
        self.draining, self.secrets = self.draining_asked, self.secrets_asked
        self.generation, self.offsets = generation, offsets
        self.replaced, self.left_at = replaced, left_at
        return generation

    def drain(self, policy):
        if policy not in DRAINS:
            raise ValueError(f"{policy} is none of {', '.join(DRAINS)}")
        self.draining_asked = policy

    def rotate(self):
        # Workers may see it in the next second, and that may belong to the next epoch.
        epoch = (states_clock_s(self.workers()) + 1) // COOKIE_EPOCH_S + 1
        rotation = Rotation(epoch * COOKIE_EPOCH_S, (epoch + 1) * COOKIE_EPOCH_S)
        self.rotate_secret(epoch)
        return rotation

    def rotate_secret(self, uint32_t epoch):
        cdef bytes master = os.urandom(SECRET_BYTES)
        secrets_rotate(&self.secrets_asked, <const uint8_t *>master, epoch)

    def log_level_set(self, level):
        if level not in eal.LOG_LEVELS:
            raise ValueError(f"{level} is none of {', '.join(eal.LOG_LEVELS)}")
        eal.log_level_set(level)
        self.log_level = level

    def leaving(self):
        return list(self.roster.given_up)

    def leaving_connections(self, slot):
        return tally_connections(self.workers(), self.row_leaving(slot))

    def drained(self):
        sweeps = tally_sweeps(self.workers())
        return [slot for slot in self.leaving()
                if swept(self.left_at.get(slot, sweeps), sweeps)
                and self.leaving_connections(slot) == 0]

    def row_leaving(self, slot):
        return self.row(slot) + 1

    def start(self):
        if self.snapshot == NULL:
            raise DataplaneError("start() before the first publish()")
        with eal.talk_held_back(self.log_level) as talk:
            self.started = True
            for port in self.ports:
                port_start(port, talk)
            joined = rss_join(&self.workers().owners, self.ports)
            for port in self.ports:
                port.symmetric_rss = joined
        self.beginning = inheritance_take(
            self.workers(), self.shards, self.settings, self.snapshot)
        self.running = True
        crew_launch(self.workers(), self.settings.stall_exit, self.settings.stall_only_told,
                    self.shards.lock)

    def generation_seen(self):
        seen = crew_generation(self.workers())
        while self.replaced and self.replaced[0][0] < seen:
            snapshot_free(<Snapshot *><uintptr_t>self.replaced.pop(0)[1])
        return seen

    def worker_stats(self):
        return tally_workers(self.workers(), 2 * self.roster.used + 1)

    def service_counters(self, slot):
        return self.own_counts(slot, tally_service(self.workers(), self.row(slot)))

    def service_changes(self, slots, seen):
        return [(slot, self.own_counts(slot, counted), grown)
                for slot, counted, grown in tally_changes(self.workers(), list(slots), seen)]

    def own_counts(self, slot, counted):
        """Without those of the services that had the slot before."""
        former = self.offsets.get(slot)
        if former is None:
            return counted
        return {name: count - former[name] for name, count in counted.items()}

    def service_connections(self, slot):
        return tally_connections(self.workers(), self.row(slot))

    def row(self, slot):
        if not 0 <= slot < self.settings.services:
            raise ValueError(f"slot {slot} is not below {self.settings.services}")
        return slot_row(slot)

    def service_cookies(self, slot):
        return cookies_together(tally_cookies(self.workers(), self.row(slot)))

    def connections(self, wanted, place, steps, room):
        cdef Crew *crew = self.workers()
        if self.snapshot == NULL:
            return [], None
        worker, at = place
        if worker >= crew.count:        # as a daemon had it that had more workers
            return [], None
        found, behind = connections_take(crew, self.snapshot, wanted, worker, at, steps, room)
        if behind is not None:
            return found, (worker, behind)
        return found, (worker + 1, 0) if worker + 1 < crew.count else None

    def delete_connection(self, flow):
        if not self.running:
            raise DataplaneError("the workers don't run")
        ticket = connections_delete(self.workers(), flow, self.deletions)
        if ticket is not None:
            self.deletions.add(ticket)
        return ticket

    def connection_deleted(self, ticket):
        worker, number = ticket
        done, was = connections_deleted(self.workers(), self.snapshot, worker, number)
        if done:
            self.deletions.discard(ticket)
        return done, was

    def deletion_forget(self, ticket):
        self.deletions.discard(ticket)

    def watch_events(self, on):
        reports_switch(self.workers(), on)

    def events(self):
        return reports_take(self.workers())

    def events_passed_over(self):
        return reports_passed_over(self.workers())

    def capture_begin(self, wanted):
        cdef Crew *crew = self.workers()
        if not self.running:
            raise DataplaneError("the workers don't run")
        return recording_begin(crew, wanted)

    def captured(self):
        return recording_take(self.workers())

    def capture_end(self):
        recording_end(self.workers())

    def learned_servers(self):
        cdef Crew *crew = self.workers()
        return [] if self.snapshot == NULL else tally_learned(crew, self.snapshot)

    def port_stats(self):
        self.workers()
        return [port_stats(port) for port in self.ports]

    def mempool_stats(self):
        self.workers()
        return buffers_stats(self.sockets)

    def worker_states(self):
        return states_workers(self.workers())

    def beat(self, on):
        watchdog_beat(&self.workers().watchdog, on)

    def watchdog_state(self):
        return states_watchdog(self.workers())

    def port_states(self):
        self.workers()
        return [port_state(port) for port in self.ports]

    def mempool_states(self):
        self.workers()
        return buffers_states(self.sockets)

    def rest(self):
        if self.running:
            self.running = False
            crew_stop(self.crew)

    def stop(self):
        self.rest()
        if not self.started:
            return
        self.started = False
        with eal.talk_held_back(self.log_level):
            for port in self.ports:
                port_stop(port)

    def close(self):
        if self.crew == NULL:
            return
        self.stop()
        with eal.talk_held_back(self.log_level):
            self._close_ports()
            crew_free(self.crew)
            self.shards.close()
            buffers_free(self.sockets)
            eal.eal_stop()
        self.crew = NULL
        for _, address in self.replaced:
            snapshot_free(<Snapshot *><uintptr_t>address)
        snapshot_free(self.snapshot)

    def _close_ports(self):
        for port in self.ports:
            port_close(port)


def swept(then, now):
    """Whether each worker has looked through all of its table since."""
    return all(after - before >= SWEEPS_WHOLE for before, after in zip(then, now))
