"""send, expect, expect nothing: floor 2 as a test meets it.

    out = proxy.from_client(SYN)            one burst; out.to_client, out.to_server, out.verdicts
    proxy.clock.advance(seconds=64)         time, with the timers' steps; returns an Outcome
    proxy.counters.cookie_valid             totals

After each call the books are checked: every frame received has one fate, every frame sent has
an origin, and never leaves more toward a client without a proof than came from it.
"""

from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from types import SimpleNamespace

from cython_core import _testing_proxy
from cython_core.proxy import counters as counter_names

from .segments import Segment

START_MS = 1_700_000_010_000        # ten seconds into a cookie epoch
WSCALE_ABSENT = 15


def service(name="web", prefixes=("10.0.0.2/32", "fd00::2/128"), ports=((80, 80),), **options):
    """A compiled service with the product's defaults, and what differs."""
    fields = dict(
        row=1, tag=hash_tag(name), mss=1460, mss_ipv6=1440, wscale=7, wscale_former=7,
        wscale_former_until=0, sack=True, timestamps=True, ecn=False, syn_retries=5,
        syn_timeout_ms=1000, established_ticks=7200, half_closed_ticks=900, time_wait_ticks=15,
        closed_ticks=30,
    )
    fields.update(options)
    if "wscale_former" not in options:
        fields["wscale_former"] = fields["wscale"]
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
    to_client: list = field(default_factory=list)       # Segments, or bytes where not TCP
    to_server: list = field(default_factory=list)
    verdicts: list = field(default_factory=list)

    @property
    def verdict(self):
        (verdict,) = self.verdicts
        return verdict


class Clock:
    def __init__(self, proxy):
        self.proxy, self.now_ms = proxy, START_MS

    def advance(self, seconds: float) -> Outcome:
        """In steps of a quarter second, as a worker's turns would see it."""
        outcome, end = Outcome(), self.now_ms + round(seconds * 1000)
        while self.now_ms < end:
            self.now_ms = min(self.now_ms + 250, end)
            self.proxy.box.set_clock(self.now_ms)
            self.proxy.collect(outcome, self.proxy.box.tend())
        self.proxy.check_books()
        return outcome


class Proxy:
    def __init__(self, *services, **sizes):
        self.services = services or (service(),)
        self.box = _testing_proxy.Box(list(self.services), START_MS, **sizes)
        self.clock = Clock(self)
        self.sent = 0

    def publish(self, *services) -> None:
        self.box.publish(list(services))

    def from_client(self, *segments) -> Outcome:
        return self.run(segments, True)

    def from_server(self, *segments) -> Outcome:
        return self.run(segments, False)

    def run(self, segments, from_client: bool) -> Outcome:
        frames = [s.frame() if isinstance(s, Segment) else s for s in segments]
        verdicts, sent = self.box.run(frames, from_client)
        outcome = self.collect(Outcome(verdicts=verdicts), sent)
        self.check_books()
        return outcome

    def collect(self, outcome: Outcome, sent) -> Outcome:
        self.sent += len(sent)
        for to_server, frame in sent:
            side = outcome.to_server if to_server else outcome.to_client
            side.append(read(frame))
        return outcome

    def check_books(self) -> None:
        totals = self.box.counters()
        drops = sum(totals[reason] for reason in counter_names.DROP_REASONS)
        kept = totals["bridged"] + totals["translated"] + totals["consumed"]
        assert totals["received"] == kept + drops
        assert self.sent == totals["bridged"] + totals["translated"] + totals["originated"]

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
    def drops(self) -> dict[str, int]:
        """Drop reasons that were counted."""
        totals = self.box.counters()
        return {reason: totals[reason] for reason in counter_names.DROP_REASONS if totals[reason]}


def read(frame: bytes):
    try:
        return Segment.read(frame)
    except IndexError:                  # no TCP inside
        return frame
