"""A data plane without packets: publishes at once, acknowledges when it is told to."""

from collections.abc import Sequence
from dataclasses import replace

from cython_core.dataplane import (
    COUNTERS,
    DROP_REASONS,
    SERVICE_COUNTERS,
    Beginning,
    CaptureFilter,
    Connection,
    ConnectionFilter,
    CookieSwitch,
    Event,
    LearnedServer,
    MempoolState,
    MempoolStats,
    NoMemoryError,
    PortState,
    PortStats,
    Rotation,
    Seen,
    ServiceSpec,
    TableFill,
    WatchdogState,
    WorkerState,
    WorkerStats,
)

HZ = 1_000_000          # of the workers' cycles
EPOCH_S = 60


class Plane:
    """What the gRPC servicers use of a Dataplane; `stuck` keeps its workers from going on."""

    def __init__(self) -> None:
        self.published: list[list[ServiceSpec]] = []
        self.stuck = False
        self.failing = False
        self.counters = dict.fromkeys(COUNTERS, 0) | {COUNTERS[0]: 7, DROP_REASONS[-1]: 3}
        self.cookies = [CookieSwitch(True, None), CookieSwitch(False, 130.25)]
        self.servers: list[LearnedServer] = []
        self.entries: list[Connection | None] = []      # of one worker's table; None is free
        self.asked: list[ConnectionFilter] = []
        self.capturing: CaptureFilter | None = None
        self.frames: list[tuple[int, int, bool, str | None, int, bytes]] = []
        self.frames_lost = 0
        self.taken = 0              # how often frames were taken
        self.happened: list[Event] = []
        self.events_lost = 0
        self.passed_over: dict[tuple[int, str], int] = {}
        self.watched = False
        self.deleted: list[tuple[bytes, int, bytes, int]] = []
        self.tickets_left = 256
        self.forgotten: list[tuple[int, int]] = []
        self.left: dict[int, int] = {}
        self.connections_left = 0        # of each service that is deleted
        self.grown: dict[int, int] = {}     # by slot: what its first counter has more
        self._offsets: dict[int, int] = {}  # by slot: what former services of it had counted
        self._seen = 0
        self.drains: list[str] = []     # as they were told
        self.rotations = 0
        self.log_level = "warning"
        self.eal_arguments = ["synproxyd", "-l", "0,1,2"]
        self.states = [worker_state(lcore=1), worker_state(lcore=2)]
        self.in_use = 17
        self.beats: list[bool] = []
        self.looks = 0              # the watchdog's
        self.control_stalls = 0
        self.beginning = Beginning(warm=False, cold="there was none", unkept="there is none")

    def drain(self, policy: str) -> None:
        self.drains.append(policy)

    @property
    def draining(self) -> str:
        return self.drains[-1] if self.drains else "none"

    def rotate(self) -> Rotation:
        self.rotations += 1
        since_s = 1_700_000_040 + EPOCH_S * self.rotations
        return Rotation(since_s, since_s + EPOCH_S)

    def log_level_set(self, level: str) -> None:
        self.log_level = level

    def worker_states(self) -> list[WorkerState]:
        return [replace(state, generation=self._seen) for state in self.states]

    def beat(self, on: bool) -> None:
        self.beats.append(on)

    def watchdog_state(self) -> WatchdogState:
        self.looks += 1
        return WatchdogState(looks=self.looks, control_stalls=self.control_stalls)

    def mempool_states(self) -> list[MempoolState]:
        return [MempoolState(
            name="frames_0", numa_node=0, size=1023, in_use=self.in_use, cache=127,
            buffer_bytes=2304)]

    def port_states(self) -> list[PortState]:
        return [
            PortState(
                role=role, device="net_ring0", driver="net_ring", mac="02:00:00:00:00:01",
                numa_node=0, link_up=up, speed_mbps=10_000 if up else None, full_duplex=True,
                autonegotiated=False, mtu_bytes=1500, promiscuous=True, rx_queues=1, tx_queues=2,
                rx_descriptors=1024, tx_descriptors=512, symmetric_rss=role == "client",
                tx_offloads=["MBUF_FAST_FREE"],
                rx_capabilities=["SCATTER"], tx_capabilities=["MBUF_FAST_FREE", "MULTI_SEGS"],
                nic_counters={"rx_good_packets": 5, "rx_missed_errors": 0},
            )
            for role, up in (("client", True), ("server", False))
        ]

    def leaving(self) -> list[int]:
        return list(self.left)

    def leaving_connections(self, slot: int) -> int:
        return self.left.get(slot, 0)

    def drained(self) -> list[int]:
        return [slot for slot, connections in self.left.items() if connections == 0]

    def service_connections(self, slot: int) -> int:
        return 3 + slot

    def publish(self, services: Sequence[ServiceSpec]) -> int:
        if self.failing:
            raise NoMemoryError("no memory for another snapshot; raise memory.size_mib")
        former, kept = ({spec.slot: spec.name for spec in one}
                        for one in (self.published[-1] if self.published else [], services))
        for slot in self.drained():
            del self.left[slot]
        self.left |= {slot: self.connections_left for slot in former if slot not in kept}
        if former:
            self._offsets |= {slot: self._counted(slot) for slot, name in kept.items()
                              if former.get(slot) != name}
        self.published.append(list(services))
        return len(self.published)

    def generation_seen(self) -> int:
        if not self.stuck:
            self._seen = len(self.published)
        return self._seen

    def worker_stats(self) -> list[WorkerStats]:
        return [
            WorkerStats(
                lcore=lcore, counters=self.counters, connections=2, connections_max=1024,
                half_open=1, half_open_max=64, generation=self._seen, turns=100, busy_turns=10,
                busy_cycles=250, cycles=1000, handed_in=30, handed_out=40,
            )
            for lcore in (1, 2)
        ]

    def service_counters(self, slot: int) -> dict[str, int]:
        count = self._counted(slot) - self._offsets.get(slot, 0)
        return dict.fromkeys(SERVICE_COUNTERS, 0) | {SERVICE_COUNTERS[0]: count}

    def _counted(self, slot: int) -> int:
        """By all that ever had the slot."""
        return 10 + slot + self.grown.get(slot, 0)

    def service_changes(
        self, slots: Sequence[int], seen: Seen
    ) -> list[tuple[int, dict[str, int], dict[str, int]]]:
        seen.make_room(slots, 8)
        changes = []
        for slot in slots:
            at, count = 8 * seen.places[slot], self._counted(slot)
            former = int.from_bytes(seen.words[at:at + 8], "little")
            seen.words[at:at + 8] = count.to_bytes(8, "little")
            if slot in seen.fresh or count != former:
                changes.append((slot, self.service_counters(slot),
                                {SERVICE_COUNTERS[0]: count - former}))
        seen.fresh.difference_update(slots)
        return changes

    def service_cookies(self, slot: int) -> CookieSwitch:
        return self.cookies[slot] if slot < len(self.cookies) else CookieSwitch(True, None)

    def learned_servers(self) -> list[LearnedServer]:
        return list(self.servers)

    def connections(
        self, wanted: ConnectionFilter, place: tuple[int, int], steps: int, room: int
    ) -> tuple[list[Connection], tuple[int, int] | None]:
        """All of them, whatever is wanted."""
        self.asked.append(wanted)
        worker, at = place
        found: list[Connection] = []
        end = min(at + steps, len(self.entries))
        while at < end and len(found) < room:
            entry = self.entries[at]
            found += [entry] if entry else []
            at += 1
        return found, (worker, at) if at < len(self.entries) else None

    def delete_connection(self, flow: tuple[bytes, int, bytes, int]) -> tuple[int, int] | None:
        if not self.tickets_left:
            return None
        self.deleted.append(flow)
        return (0, len(self.deleted))

    def connection_deleted(self, ticket: tuple[int, int]) -> tuple[bool, Connection | None]:
        """Once its worker goes on."""
        client_port = self.deleted[ticket[1] - 1][1]
        found = [one for one in self.entries if one and one.client_port == client_port]
        return not self.stuck, found[0] if found else None

    def deletion_forget(self, ticket: tuple[int, int]) -> None:
        self.forgotten.append(ticket)

    def watch_events(self, on: bool) -> None:
        self.watched = on

    def events(self) -> tuple[list[Event], int]:
        taken, self.happened = self.happened, []
        return taken, self.events_lost

    def events_passed_over(self) -> dict[tuple[int, str], int]:
        return dict(self.passed_over)

    def capture_begin(self, wanted: CaptureFilter) -> bool:
        if self.stuck:
            return False
        self.capturing = wanted
        return True

    def captured(self) -> tuple[list[tuple[int, int, bool, str | None, int, bytes]], int]:
        taken, self.frames = self.frames, []
        self.taken += 1
        return taken, self.frames_lost

    def capture_end(self) -> None:
        self.capturing = None

    def port_stats(self) -> list[PortStats]:
        return [
            PortStats(
                role=role, device="net_ring0", driver="net_ring", mac="02:00:00:00:00:01",
                link_up=True, rx_packets=5, tx_packets=4, rx_bytes=500, tx_bytes=400,
                rx_missed=1, rx_errors=2, tx_errors=3, rx_nombuf=4,
            )
            for role in ("client", "server")
        ]

    def mempool_stats(self) -> list[MempoolStats]:
        return [MempoolStats(name="frames", size=1023, in_use=17)]


def worker_state(lcore: int = 1, **differs: int) -> WorkerState:
    """One that has just begun; what differs, of its fields and of its table's."""
    fill = {
        "connections": 0, "connections_max": 1024, "half_open": 0, "half_open_max": 64,
        "early_segments": 0, "early_segments_max": 32, "look": 0, "opening": 0, "open": 0,
        "passing": 0, "time_wait": 0, "tombstones": 0,
    }
    fields = {
        "lcore": lcore, "thread_id": 100 + lcore, "numa_node": 0, "generation": 1, "hz": HZ,
        "cycles": 0, "busy_cycles": 0, "turns": 0, "busy_turns": 0, "bursts": 0, "frames": 0,
        "handed_in": 0, "handed_out": 0, "sweep": 0,
    }
    fill |= {name: value for name, value in differs.items() if name in fill}
    fields |= {name: value for name, value in differs.items() if name in fields}
    return WorkerState(**fields, vector="x86-64-v3", fill=TableFill(**fill))
