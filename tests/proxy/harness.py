"""send, expect, expect nothing: floor 2 as a test meets it.

    out = proxy.from_client(SYN)            one burst
    out.to_client                           the one frame that came out, and it went there
    out.both                                two frames: (to the client, to the server)
    out.nothing                             no frame came out; asserted together with a verdict
    proxy.clock.advance(seconds=64)         time, with the timers' steps; an outcome as well

After each call the books are checked: every frame received has one fate, every frame sent has
an origin, and a client that has proven nothing gets no more frames or bytes than it sent.
"""

import os
from dataclasses import dataclass, field
from functools import lru_cache
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

from cython_core import _testing_proxy
from cython_core.proxy import counters as counter_names

from .segments import Segment

START_MS = 1_700_000_010_000        # 30 s into a cookie epoch
EPOCH_S = 60
WSCALE_ABSENT = 15
TICK_S = 4                          # of the activity clock, in which timeouts are kept
# Of wire/vector, where a test asks for none: make vectors has each in turn.
VECTOR = os.environ.get("PROXY_VECTOR", "auto")


# The product's, but for what would only hide a plainer rule: nothing is learned, no early data,
# and nothing passes that is of no known connection.
DEFAULTS = {
    "row": 1, "mss": 1460, "mss_ipv6": 1440, "wscale": 7, "wscale_former_until": 0,
    "wscale_former_epochs": 255, "sack": True,
    "timestamps": True, "ecn": False, "syn_retries": 5, "syn_timeout_ms": 1000,
    "established_ticks": 7200, "half_closed_ticks": 900, "time_wait_ticks": 15,
    "closed_ticks": 30, "auto": False, "early_data": False, "activation": "always",
    "leaving": False, "unknown_flow": "drop", "unknown_rate": 1000, "syn_rate_mark": 100,
    "half_open_mark": 200, "hold_ms": 60_000, "grace_ms": 120_000, "active_ticks": 75,
    "open_rate": 0, "open_burst": 1, "source_rate": 0, "source_burst": 1, "source_prefix": 24,
    "source_prefix_ipv6": 56, "pacing_rate": 0, "pacing_burst": 1, "pacing_wait_ms": 5000,
}


def service(name="web", prefixes=("10.0.0.2/32", "fd00::2/128"), ports=((80, 80),), **options):
    """A compiled service with the product's defaults, and what differs."""
    fields = DEFAULTS | {"tag": hash_tag(name)} | options
    fields.setdefault("wscale_former", fields["wscale"])
    fields.setdefault("wscale_older", fields["wscale_former"])
    fields["rules"] = [rule(prefix, low, high) for prefix in prefixes for low, high in ports]
    return fields


def hash_tag(name: str) -> int:
    return int.from_bytes(name.encode().ljust(4, b"\0")[:4], "big")


def rule(prefix: str, low: int, high: int):
    network = ip_network(prefix)
    shift = 96 if network.version == 4 else 0
    return mapped(network.network_address), network.prefixlen + shift, low, high


def mapped(address) -> bytes:
    """16 bytes; IPv4 behind ::ffff:0:0/96."""
    packed = ip_address(address).packed
    return packed if len(packed) == 16 else bytes(10) + b"\xff\xff" + packed


@dataclass
class Outcome:
    """Frames that came out: Segments, or bytes where not TCP; and what became of those sent."""

    sent: list = field(default_factory=list)        # (to_server, Segment), in order
    verdicts: list = field(default_factory=list)

    @property
    def to_client(self):
        assert [to_server for to_server, _ in self.sent] == [False], self
        return self.sent[0][1]

    @property
    def to_server(self):
        assert [to_server for to_server, _ in self.sent] == [True], self
        return self.sent[0][1]

    @property
    def both(self):
        assert sorted(to_server for to_server, _ in self.sent) == [False, True], self
        to_client, to_server = sorted(self.sent, key=lambda item: item[0])
        return to_client[1], to_server[1]

    @property
    def two_to_server(self):
        assert [to_server for to_server, _ in self.sent] == [True, True], self
        return self.sent[0][1], self.sent[1][1]

    @property
    def nothing(self) -> str:
        """The verdict on a single frame that led to nothing."""
        assert self.sent == [], self
        return self.verdict

    @property
    def verdict(self) -> str:
        (verdict,) = self.verdicts
        return verdict


class Clock:
    def __init__(self, proxy):
        self.proxy, self.now_ms = proxy, START_MS

    @property
    def now_s(self) -> int:
        return self.now_ms // 1000

    def advance(self, seconds: float) -> Outcome:
        """In steps of a quarter second, as a worker's turns would see it."""
        outcome, end = Outcome(), self.now_ms + round(seconds * 1000)
        while self.now_ms < end:
            self.now_ms = min(self.now_ms + 250, end)
            self.proxy.box.set_clock(self.now_ms)
            self.proxy.collect(outcome, self.proxy.box.tend(4))
        self.proxy.check_books()
        return outcome

    def leap(self, seconds: float) -> Outcome:
        """At once, then as many of the timers' steps as they can want."""
        self.now_ms += round(seconds * 1000)
        self.proxy.box.set_clock(self.now_ms)
        outcome = self.proxy.collect(Outcome(), self.proxy.box.tend(4096))
        self.proxy.check_books()
        return outcome


class Proxy:
    def __init__(self, *services, **sizes):
        self.services = services or (service(),)
        self.box = _testing_proxy.Box(
            list(self.services), START_MS, **{"vector": VECTOR} | sizes)
        self.clock = Clock(self)
        self.sent = 0

    def publish(self, *services, drain="none") -> None:
        self.box.publish(list(services), drain)

    def from_client(self, *segments) -> Outcome:
        return self.run(segments, True)

    def from_server(self, *segments) -> Outcome:
        return self.run(segments, False)

    def run(self, segments, from_client: bool) -> Outcome:
        frames = [s.frame() if isinstance(s, Segment) else s for s in segments]
        verdicts, sent = self.box.run(frames, from_client)
        if from_client:
            self.check_echo(frames, sent)
        outcome = self.collect(Outcome(verdicts=verdicts), sent)
        self.check_books()
        return outcome

    def collect(self, outcome: Outcome, sent) -> Outcome:
        self.sent += len(sent)
        outcome.sent += [(to_server, read(frame)) for to_server, frame in sent]
        return outcome

    def check_books(self) -> None:
        totals = self.box.counters()
        drops = sum(totals[reason] for reason in counter_names.DROP_REASONS)
        kept = totals["bridged"] + totals["translated"] + totals["consumed"]
        assert totals["received"] == kept + drops
        assert self.sent == totals["bridged"] + totals["translated"] + totals["originated"]

    def check_echo(self, frames, sent) -> None:
        """Never more out to clients than in from them, in frames and in bytes."""
        echoes = [frame for to_server, frame in sent if not to_server]
        assert len(echoes) <= len(frames)
        assert sum(map(len, echoes)) <= sum(map(len, frames))

    @property
    def counters(self):
        return SimpleNamespace(**self.box.counters())

    @property
    def gauges(self):
        return SimpleNamespace(**self.box.gauges())

    @property
    def connection(self):
        """The only entry of the table."""
        (entry,) = self.box.connections()
        return SimpleNamespace(**entry)

    @property
    def learned(self):
        """What is known of the only server that has answered."""
        (server,) = self.box.learned()
        return SimpleNamespace(**server)

    @property
    def drops(self) -> dict[str, int]:
        """Drop reasons that were counted."""
        totals = self.box.counters()
        return {reason: totals[reason] for reason in counter_names.DROP_REASONS if totals[reason]}


@lru_cache      # a flood brings the same again and again
def read(frame: bytes):
    try:
        return Segment.read(frame)
    except IndexError:                  # no TCP inside
        return frame
