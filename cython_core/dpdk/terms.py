"""What this floor is told, and what it tells: the words of cython_core.dataplane's contract."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address


class DataplaneError(Exception):
    """The data plane can't start or go on; the text is one line that says what to do."""


class NoMemoryError(DataplaneError):
    """There is no memory for what was asked for; nothing has changed."""


def address_of(packed: bytes) -> IPv4Address | IPv6Address:
    """Of the 16 bytes that the data plane has of it."""
    address = IPv6Address(packed)
    return address.ipv4_mapped or address


@dataclass(frozen=True)
class PortSpec:
    """A DPDK port: `device` is a PCI address ("0000:03:00.0") or vdev arguments
    ("net_af_xdp0,iface=eth1", "net_pcap0,rx_pcap=a.pcap,infinite_rx=1,tx_drop=1")."""

    device: str


@dataclass(frozen=True)
class Settings:
    """What only a restart changes."""

    client_port: PortSpec
    server_port: PortSpec
    main_lcore: int = 0
    worker_lcores: Sequence[int] = (1,)
    vector: str = "auto"               # or one of VECTORS: the widest that the workers use
    hugepages: bool = True
    memory_mib: int = 512
    file_prefix: str = "synproxy"
    connections: int = 1 << 20         # the table's hard bound, all workers together
    half_open: int = 1 << 16           # connections waiting for their server's SYN-ACK
    shard_file: str = ""               # where the tables outlive the process; "": they don't
    services: int = 4096               # slots; 1.5 KiB of counters each, of each worker
    servers: int = 4096                # whose options are kept, 34 bytes each; a power of two
    early_segments: int = 1024         # client segments of 2 KiB that wait for their server
    mbufs: int = 32767                 # per NUMA socket; a power of two less one
    rx_descriptors: int = 2048         # as many as AF_XDP's driver recommends
    tx_descriptors: int = 1024
    eal_log_level: str = "warning"     # EAL's own words: emergency .. debug
    extra_eal_args: Sequence[str] = ()
    stall_exit: int = 0                # how the process ends by a stuck worker; 0: it doesn't
    stall_only_told: bool = False      # then by one that is to stop, and by no other


@dataclass(frozen=True)
class Beginning:
    """What of a former process goes on in this one.  Of its entries, those that don't, by why."""

    warm: bool
    cold: str = ""                     # why nothing does: one line; "" where it is warm
    unkept: str = ""                   # why nothing will survive this process; "" where it will
    adopted: int = 0
    torn: int = 0                      # half written when it ended
    unserved: int = 0                  # no service has their server's address now
    without_room: int = 0              # the tables are smaller now
    unsound: int = 0                   # in no state that there is, or there twice
    gap_s: float = 0.0                 # from its last turn until then
    stall: str = ""                    # which worker's ended it, as far as a file tells

    @property
    def entries(self) -> dict[str, int]:
        """How many have met which fate."""
        return {fate: getattr(self, fate) for fate in (
            "adopted", "torn", "unserved", "without_room", "unsound")}


@dataclass(frozen=True)
class WatchdogState:
    """Of the thread that looks at the others."""

    looks: int                         # since the workers were launched; 0: they weren't
    control_stalls: int                # how often the control thread made no beat for 2 s


@dataclass(frozen=True)
class WorkerStats:
    """One worker's view.  `counters` follow COUNTERS; tables are gauges at the time of reading."""

    lcore: int
    counters: dict[str, int]
    connections: int                   # entries in use
    connections_max: int
    half_open: int
    half_open_max: int
    generation: int                    # the newest snapshot this worker has seen
    turns: int                         # turns of the loop
    busy_turns: int                    # of them, with at least one frame, or a timer due
    busy_cycles: int                   # TSC cycles in turns that had work
    cycles: int                        # TSC cycles since start
    handed_in: int                     # frames from workers that they had come to
    handed_out: int                    # frames to workers that own their flows


@dataclass
class Seen:
    """What one reader of Dataplane.service_changes() has seen last.  `fresh` are slots to tell of
    whether anything has changed or not: those that hold another service now."""

    fresh: set[int] = field(default_factory=set)
    places: dict[int, int] = field(default_factory=dict)    # by slot: where in `words`
    words: bytearray = field(default_factory=bytearray)

    def make_room(self, slots: Sequence[int], slot_bytes: int) -> None:
        unknown = [slot for slot in slots if slot not in self.places]
        self.places |= {slot: at for at, slot in enumerate(unknown, len(self.places))}
        self.words.extend(bytes(len(unknown) * slot_bytes))
        self.fresh.update(unknown)


@dataclass(frozen=True)
class ConnectionFilter:
    """Which connections are asked for; what is unset lets all through."""

    slot: int | None = None
    client: tuple[bytes, int] | None = None     # 16 bytes, IPv4 behind ::ffff:0:0/96, and bits
    server: tuple[bytes, int] | None = None
    states: frozenset[str] = frozenset()        # of CONNECTION_STATES


@dataclass(frozen=True)
class Connection:
    """One entry of a worker's table, as it was at one moment."""

    client: IPv4Address | IPv6Address
    client_port: int
    server: IPv4Address | IPv6Address
    server_port: int
    slot: int | None                   # of its service
    leaving: bool                      # the service is no more, or has given up that prefix
    lcore: int                         # of the worker that has it
    state: str                         # one of CONNECTION_STATES
    passes: bool                       # its handshake was not ours
    client_fin: bool                   # that side's FIN has passed
    server_fin: bool
    idle_s: int                        # since its last segment in window, in steps of 4 s
    seq_offset: int                    # 32 bits: our ISN - the server's
    timestamps: str                    # "none", "translated", "supplied"


@dataclass(frozen=True)
class Event:
    """A sample of what has happened."""

    time_ns: int                       # since 1970, on the worker's clock
    reason: str                        # one of EVENT_REASONS
    slot: int | None                   # of the service, if it is of one
    lcore: int                         # of the worker
    client: IPv4Address | IPv6Address | None
    client_port: int
    server: IPv4Address | IPv6Address | None
    server_port: int
    from_client: bool                  # who has sent the segment; false where there is none
    flags: int                         # the segment's TCP flags; 0 where there is none
    passed_over: int                   # of this reason and worker, in all times until then


@dataclass(frozen=True)
class CaptureFilter:
    """Which frames a capture is of; what is unset lets all through."""

    received: bool = True
    sent: bool = True
    reasons: frozenset[str] = frozenset()   # only frames dropped for one of CAPTURE_REASONS
    slot: int | None = None
    prefix: tuple[bytes, int] | None = None     # of either end, as in ConnectionFilter
    port: int = 0                           # of either end
    snap_bytes: int = 2016                  # captured of each frame, at most


@dataclass(frozen=True)
class LearnedServer:
    """What a server's SYN-ACKs have said, as far as their SYNs had asked.  Of what none has asked
    for yet stands what most servers have: wscale 7, SACK, timestamps."""

    address: IPv4Address | IPv6Address
    port: int
    slot: int | None                   # of the service that it belongs to now, if any
    mss: int                           # bytes
    wscale: int | None                 # RFC 7323 shift.cnt 0..14; None: it announces none
    sack: bool
    timestamps: bool
    age_s: int                         # since the newest of them, on the workers' clock


@dataclass(frozen=True)
class CookieSwitch:
    """Whether a service's SYNs are answered with cookies at the moment."""

    on: bool
    age_s: float | None                # since it went on or off; None: never since the start


def cookies_together(switches: Sequence[CookieSwitch]) -> CookieSwitch:
    """One CookieSwitch of several workers': on where any of them is, since the first of those; off
    since the last of all went off."""
    on = [switch.age_s for switch in switches if switch.on]
    if on:
        ages = [age_s for age_s in on if age_s is not None]
        return CookieSwitch(True, max(ages) if len(ages) == len(on) else None)
    off = [switch.age_s for switch in switches if switch.age_s is not None]
    return CookieSwitch(False, min(off, default=None))


@dataclass(frozen=True)
class PortStats:
    """rte_eth_stats of one port, role "client" or "server"."""

    role: str
    device: str
    driver: str
    mac: str
    link_up: bool
    rx_packets: int
    tx_packets: int
    rx_bytes: int
    tx_bytes: int
    rx_missed: int
    rx_errors: int
    tx_errors: int
    rx_nombuf: int


@dataclass(frozen=True)
class PortState:
    """A port as it is at the moment, role "client" or "server"."""

    role: str
    device: str                        # PCI address, or vdev arguments
    driver: str
    mac: str
    numa_node: int
    link_up: bool
    speed_mbps: int | None             # None: the driver doesn't know, or there is no link
    full_duplex: bool
    autonegotiated: bool
    mtu_bytes: int
    promiscuous: bool
    rx_queues: int
    tx_queues: int
    rx_descriptors: int                # of each queue
    tx_descriptors: int
    symmetric_rss: bool                # both directions of a flow come to its owner
    tx_offloads: Sequence[str]         # in use; on the way in there are none
    rx_capabilities: Sequence[str]     # offloads that the device has
    tx_capabilities: Sequence[str]
    nic_counters: dict[str, int]       # the driver's own: rte_eth_xstats


@dataclass(frozen=True)
class TableFill:
    """One worker's tables.  What the entries are is told by the last whole look through the
    table, which takes 4 s, or longer where the table is larger than that allows."""

    connections: int                   # entries in use
    connections_max: int
    half_open: int                     # waiting for their server's SYN-ACK
    half_open_max: int
    early_segments: int                # that wait for their server
    early_segments_max: int
    look: int                          # number of that look; 0: none has ended yet
    opening: int                       # entries by what they were: their server is awaited
    open: int                          # translated, with one FIN at most
    passing: int                       # handshakes of others: untouched
    time_wait: int                     # both FINs have passed
    tombstones: int                    # ended; kept so that a cookie opens nothing again


@dataclass(frozen=True)
class WorkerState:
    """One worker's thread and work; totals since it started."""

    lcore: int
    thread_id: int                     # gettid(2); 0: it hasn't run yet
    numa_node: int
    vector: str                        # one of VECTORS
    generation: int                    # the newest snapshot this worker has seen
    hz: int                            # TSC cycles a second
    cycles: int                        # since start
    busy_cycles: int                   # of them, in turns with frames or timers due
    turns: int                         # of the loop
    busy_turns: int
    bursts: int                        # of frames, none of them empty
    frames: int                        # in these bursts
    handed_in: int                     # of them, from workers that they had come to
    handed_out: int                    # of them, to workers that own their flows
    sweep: int                         # the look through the table that is under way
    fill: TableFill


@dataclass(frozen=True)
class MempoolState:
    """Buffers of one pool."""

    name: str
    numa_node: int
    size: int                          # buffers
    in_use: int                        # of them, with a port, a queue or a worker
    cache: int                         # free ones that each lcore may keep to itself
    buffer_bytes: int


@dataclass(frozen=True)
class Rotation:
    """Another secret of the cookies, in seconds since 1970."""

    since_s: int                       # SYN-ACKs carry it from then on
    former_until_s: int                # cookies under the former one are taken until then


@dataclass(frozen=True)
class MempoolStats:
    """Buffers of one pool."""

    name: str
    size: int                          # buffers
    in_use: int                        # of them, with a port, a queue or a worker
