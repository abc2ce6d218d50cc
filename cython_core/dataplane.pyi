"""The one door from Python to the data plane: start it, publish options to it, read it, stop it.

Thread rule: one control thread calls; the workers run on their own lcores without the GIL.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from cython_core.dpdk.terms import Beginning as Beginning
from cython_core.dpdk.terms import CaptureFilter as CaptureFilter
from cython_core.dpdk.terms import Connection as Connection
from cython_core.dpdk.terms import ConnectionFilter as ConnectionFilter
from cython_core.dpdk.terms import CookieSwitch as CookieSwitch
from cython_core.dpdk.terms import DataplaneError as DataplaneError
from cython_core.dpdk.terms import Event as Event
from cython_core.dpdk.terms import LearnedServer as LearnedServer
from cython_core.dpdk.terms import MempoolState as MempoolState
from cython_core.dpdk.terms import MempoolStats as MempoolStats
from cython_core.dpdk.terms import NoMemoryError as NoMemoryError
from cython_core.dpdk.terms import PortSpec as PortSpec
from cython_core.dpdk.terms import PortState as PortState
from cython_core.dpdk.terms import PortStats as PortStats
from cython_core.dpdk.terms import Rotation as Rotation
from cython_core.dpdk.terms import Seen as Seen
from cython_core.dpdk.terms import Settings as Settings
from cython_core.dpdk.terms import TableFill as TableFill
from cython_core.dpdk.terms import WatchdogState as WatchdogState
from cython_core.dpdk.terms import WorkerState as WorkerState
from cython_core.dpdk.terms import WorkerStats as WorkerStats

# Names in the order of the counters' enumeration; DROP_REASONS is a part of it.
COUNTERS: tuple[str, ...]
DROP_REASONS: tuple[str, ...]
# Help texts of the same names, one sentence each.
COUNTER_HELP: dict[str, str]
# The counters that are also kept per service.
SERVICE_COUNTERS: tuple[str, ...]
COOKIE_LIFE_S: int      # how long a cookie may open a connection, at most
# What a connection's entry may be in, in the order of its life.
CONNECTION_STATES: tuple[str, ...]
# What events() tells of, in the order of the counters of these names.
EVENT_REASONS: tuple[str, ...]
# Why a captured frame is dropped: DROP_REASONS, and tx_full.
CAPTURE_REASONS: tuple[str, ...]
DPDK_VERSION: str
CYTHON_VERSION: str     # of the Cython that made the data plane
# The vector widths that this build, processor and kernel have, the narrowest first.
VECTORS: tuple[str, ...]
# How it may drain: "none", "bridge" (SYNs pass to the server), "drop".
DRAINS: tuple[str, ...]

# Bounds that the configuration is held against.
PORT_RANGES_MAX: int    # of one service
RULES_MAX: int          # pairs of a prefix and a port range, of all services

def log_to(descriptor: int) -> None:
    """DPDK's own lines go there from now on, and whichever thread says one writes it: a worker,
    too, so that it mustn't block.  What is said while ports start or stop is held back as ever, and
    from the stop on they go to standard error.  It belongs to DPDK then.  Raises OSError."""

@dataclass(frozen=True)
class ServiceOptions:
    """What a service announces to clients, and how long its connections are kept."""

    mss: int = 1460                    # bytes, announced over IPv4
    mss_ipv6: int = 1440               # bytes, announced over IPv6
    wscale: int | None = 7             # RFC 7323 shift.cnt 0..14; None announces none
    sack: bool = True
    timestamps: bool = True
    ecn: bool = False
    syn_retries: int = 5               # SYNs sent to a silent server after the first
    syn_timeout_ms: int = 1000         # before the first retry; doubles with each
    established_timeout_s: int = 28800
    half_closed_timeout_s: int = 3600
    time_wait_timeout_s: int = 120
    closed_timeout_s: int = 120        # how long a reset connection's cookie stays refused
    learn_mss: bool = True             # what a server itself says goes before the value
    learn_mss_ipv6: bool = True
    learn_wscale: bool = True
    early_data: bool = True             # the SYN-ACK opens a window, what comes early waits
    activation: str = "always"         # or "auto", "monitor", "off": when SYNs meet cookies
    unknown_flow: str = "forward"      # or "drop", "reset": segments of no known connection
    unknown_rate: int = 10_000         # a client's of these let through, each second
    syn_rate_mark: int = 10_000        # SYNs a second from which "auto" uses cookies
    half_open_mark: int = 10_000       # passed handshakes without an end, likewise
    hold_s: int = 60                   # below half of each mark, before it stops
    grace_s: int = 120                 # how long after a switch both kinds of handshake are taken
    active_timeout_s: int = 300        # silent for longer, a connection may make room for another
    open_rate: int = 0                 # new connections each second; 0: as many as come
    open_burst: int = 1000             # of them, at once
    source_rate: int = 0               # of clients in one prefix, likewise
    source_burst: int = 100
    source_prefix: int = 24            # bits of that prefix, of IPv4
    source_prefix_ipv6: int = 56
    pacing_rate: int = 0               # first SYNs to each server, each second; 0: as they come
    pacing_burst: int = 10             # of them, at once
    pacing_wait_ms: int = 5000         # for a turn, at most

@dataclass(frozen=True)
class ServiceSpec:
    """One protected service.  `slot` is its stable index below Settings.services, for its counters;
    one that is in leaving() must not be given to another service."""

    slot: int
    name: str
    prefixes: Sequence[str]            # canonical "192.0.2.0/24", "2001:db8::/32"
    ports: Sequence[tuple[int, int]]   # inclusive ranges, 1..65535
    options: ServiceOptions = field(default_factory=ServiceOptions)

class Dataplane:
    """EAL, two ports and the workers.  One per process, since EAL initialises only once.  Where
    Settings.stall_exit is set, a worker that makes no turn for 2 s ends the process by it."""

    def __init__(self, settings: Settings) -> None:
        """Initialise EAL, ports, pools and tables.  Raises DataplaneError; then everything
        taken so far has been given back."""

    def publish(self, services: Sequence[ServiceSpec]) -> int:
        """Compile an immutable snapshot and store-release it; returns its generation.  Raises
        ValueError where two services overlap with equal precedence, and NoMemoryError, before
        anything changes; then what drain() and rotate() had asked of it is forgotten.

        A spec that is the same object as before is not compiled again; one with other options
        costs a copy of all services' options, other prefixes or ports their routes anew.  The
        connections of a service that is gone, or gave up their prefix, go on: see leaving().  Its
        slot is its own until then: it may come back to it, and no other may have it."""

    @property
    def draining(self) -> str:
        """One of DRAINS."""

    def drain(self, policy: str) -> None:
        """Take no new connections, by one of DRAINS, from the next publish() on.  Handshakes that
        have begun may end."""

    def rotate(self) -> Rotation:
        """Draw another secret for the cookies, which the next publish() tells the workers.  It
        counts from the next cookie epoch on; one that was to begin then is forgotten."""

    def log_level_set(self, level: str) -> None:
        """Of DPDK's log, as in Settings.eal_log_level.  Raises ValueError."""

    # What goes on of a former process, once start() has taken it over.
    beginning: Beginning
    log_level: str
    # What EAL was started with, the program's name first.
    eal_arguments: list[str]

    def leaving(self) -> list[int]:
        """Slots of which connections are still under way that no service has any more."""

    def leaving_connections(self, slot: int) -> int:
        """How many these were in the last whole look through the tables, which takes 4 s."""

    def drained(self) -> list[int]:
        """Those of leaving() that have none left; the next publish() forgets them."""

    def start(self) -> None:
        """Take over what a former process has left (Settings.shard_file), and launch the workers.
        publish() must have been called once.  `beginning` has what came of it."""

    def generation_seen(self) -> int:
        """The smallest generation over all workers: an update is live once it reaches it.
        Snapshots older than it are freed by this call."""

    def worker_stats(self) -> list[WorkerStats]: ...
    def service_counters(self, slot: int) -> dict[str, int]:
        """Summed over workers since the slot is this service's; keys SERVICE_COUNTERS."""

    def service_changes(
        self, slots: Sequence[int], seen: Seen
    ) -> list[tuple[int, dict[str, int], dict[str, int]]]:
        """Of each slot whose counters, connections or mode are others than `seen` has, and of those
        that are fresh: slot, counters, and by how much which of them have grown.  10,000 services
        that rest cost about 2 ms."""

    def service_connections(self, slot: int) -> int:
        """In the last whole look through the tables, which takes 4 s."""

    def service_cookies(self, slot: int) -> CookieSwitch:
        """As the workers have judged last, each by its own share of the load: on where any of
        them is, since the first of those; off since the last of all went off.  Raises ValueError
        where there is no such slot."""

    def connections(
        self, wanted: ConnectionFilter, place: tuple[int, int], steps: int, room: int
    ) -> tuple[list[Connection], tuple[int, int] | None]:
        """Up to `room` connections from `place` on, (0, 0) being the first, after a look at no more
        than `steps` entries of one worker; and where to go on, or None: that was all; behind
        the last worker is nothing.  While the workers go on: each connection that is there all the
        while is met once.  65,536 entries take 2 ms."""

    def delete_connection(self, flow: tuple[bytes, int, bytes, int]) -> tuple[int, int] | None:
        """Have the worker that owns it end a connection: client and its port, server and its port,
        addresses as in ConnectionFilter.  The answer is for connection_deleted(), which must be
        asked until it is done, or for deletion_forget(); None: 256 are under way at that worker."""

    def connection_deleted(self, ticket: tuple[int, int]) -> tuple[bool, Connection | None]:
        """Whether it is done, and what the connection was; None where there was none, or where it
        had ended already."""

    def deletion_forget(self, ticket: tuple[int, int]) -> None:
        """Nobody asks for its answer any more.  Its worker ends the connection all the same."""

    def watch_events(self, on: bool) -> None:
        """Have the workers write events, 100 of a reason each second, or not."""

    def events(self) -> tuple[list[Event], int]:
        """What they have written since the last call, and how many events were lost in all times,
        since a worker's 4096 had not been taken.  Each worker's are in order."""

    def events_passed_over(self) -> dict[tuple[int, str], int]:
        """By lcore and reason: how many the worker has passed over, being beyond its 100 a second,
        in all times."""

    def capture_begin(self, wanted: CaptureFilter) -> bool:
        """Have the workers copy frames for captured().  False: the capture before is still ending,
        which takes a turn of each worker."""

    def captured(self) -> tuple[list[tuple[int, int, bool, str | None, int, bytes]], int]:
        """Frames since the last call, each worker's in order: nanoseconds since 1970; side, 0
        client or 1 server; whether it left, or was to; why it was dropped, if it was; its length,
        and as much of it as was captured.  And how many frames were lost in all times, since 1024
        of a worker had not been taken."""

    def capture_end(self) -> None: ...
    def learned_servers(self) -> list[LearnedServer]:
        """Every server that is known, 4096 at most, in no order.  `slot` is by the snapshot that
        was published last.  Ages stand still while the workers rest."""

    def port_stats(self) -> list[PortStats]: ...
    def mempool_stats(self) -> list[MempoolStats]: ...
    def worker_states(self) -> list[WorkerState]: ...
    def beat(self, on: bool) -> None:
        """The control thread is at work: from then on the watchdog says so on stderr, and counts
        it, where it hears nothing for 2 s.  `on` False ends that."""

    def watchdog_state(self) -> WatchdogState: ...
    def port_states(self) -> list[PortState]: ...
    def mempool_states(self) -> list[MempoolState]: ...
    def rest(self) -> None:
        """Stop the workers alone: no frame is read or sent any more, the ports stay up; idempotent.
        A peer over net_memif must rest before either side stops, since the driver unmaps what
        both share however busy its workers are."""

    def stop(self) -> None:
        """Stop the workers, then the ports; idempotent.  Stats stay readable until close()."""

    def close(self) -> None:
        """Release ports, memory and EAL.  Implies stop(); idempotent."""
