"""Bursts whose instructions are counted: what a busy worker meets, all on its usual way.

Frames are made and tried here, with the tests' own client and server, so that the counted
program has only to pass them on: it has the same keys and the same clock, hence the same cookies.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

# Last, or the sources there would hide the modules that are built.
sys.path.append(str(Path(__file__).parents[2]))

from tests.proxy.connection import SYN_IPV4, SYN_IPV6, Connection, plain
from tests.proxy.harness import START_MS, Proxy, service
from tests.proxy.segments import Segment

BURST = 64
BURSTS = 4                  # of each case, no two frames alike
SIZES = {"connections": 1024, "half_open": 1024}
MANY = 255                  # services that the test door has counters for; few are 1
REQUEST_BYTES = 100         # a client's, and what servers answer with, on a path of 1500 bytes:
FULL_BYTES = 1448           # less 20 of IPv4, 20 of TCP, 12 of timestamps
FULL_IPV6_BYTES = 1428

Bursts = list[list[bytes]]


@dataclass(frozen=True)
class Case:
    """`before` brings the proxy there, as (from_client, frames); then `bursts` are counted,
    whose frames all get `verdict`."""

    name: str
    services: list[dict]
    before: list[tuple[bool, list[bytes]]]
    bursts: Bursts
    from_client: bool
    verdict: str
    now_ms: int
    sizes: dict[str, int]

    @property
    def frames(self) -> int:
        return sum(map(len, self.bursts))


class Recorder(Proxy):
    """Keeps all frames that came, by burst."""

    def __init__(self, *services, **sizes):
        super().__init__(*services, **sizes)
        self.came: list[tuple[bool, list[bytes]]] = []

    def run(self, segments, from_client):
        frames = [segment.frame() for segment in segments]
        self.came.append((from_client, frames))
        return super().run(frames, from_client)


def cases() -> Iterator[Case]:
    for family, syn in (("IPv4", SYN_IPV4), ("IPv6", SYN_IPV6)):
        for name, (make, from_client, verdict) in KINDS.items():
            web = the_service()
            proxy = Recorder(web, **SIZES)
            # One connection that was before, of which its server is known.
            Connection(proxy, replace(syn, sport=999)).establish()
            segments = make(proxy, syn)
            frames = [segment.frame() for segment in segments]
            bursts = [frames[at:at + BURST] for at in range(0, len(frames), BURST)]
            for amount, services in (("few", [web]), ("many", [web, *other_services()])):
                yield Case(f"{name}, {family}, {amount} services", services, proxy.came, bursts,
                           from_client, verdict, START_MS, SIZES)


def the_service() -> dict:
    """As the product has it by default, but that an ACK without a connection is dropped, as
    those of a flood are."""
    return service(auto=True, early_data=True, unknown_flow="drop")


def other_services() -> list[dict]:
    return [service(f"{row}", (f"10.1.0.{row}/32", f"fd00:1::{row}/128"), row=row)
            for row in range(2, MANY + 1)]


def clients(syn: Segment, number: int = BURST * BURSTS) -> list[Segment]:
    return [replace(syn, sport=1024 + at, seq=at * 7919) for at in range(number)]


def with_timestamps(_proxy: Proxy, syn: Segment) -> list[Segment]:
    return clients(syn)


def without_timestamps(_proxy: Proxy, syn: Segment) -> list[Segment]:
    return clients(plain(syn))


def bad_acks(_proxy: Proxy, syn: Segment) -> list[Segment]:
    """A flood's, which have no options."""
    return [Segment(one.source, one.destination, one.sport, one.dport, "A", seq=one.seq,
                    ack=one.seq ^ 0x5A5A5A5A, window=512) for one in clients(syn)]


def third_acks(proxy: Proxy, syn: Segment) -> list[Segment]:
    return [Connection(proxy, one).ask().ack for one in clients(syn)]


def requests(proxy: Proxy, syn: Segment) -> list[Segment]:
    """Of 64 connections, one segment each in a burst."""
    return [conn.client(sent=turn * REQUEST_BYTES, payload=bytes(REQUEST_BYTES), flags="PA")
            for turn, conn in in_turn(proxy, syn)]


def answers(proxy: Proxy, syn: Segment) -> list[Segment]:
    full = FULL_BYTES if syn.family == 4 else FULL_IPV6_BYTES
    return [conn.server(sent=turn * full, payload=bytes(full))
            for turn, conn in in_turn(proxy, syn)]


def in_turn(proxy: Proxy, syn: Segment) -> list[tuple[int, Connection]]:
    conns = [Connection(proxy, one).establish() for one in clients(syn, BURST)]
    return [(turn, conn) for turn in range(BURSTS) for conn in conns]


# How the segments are made, whether clients send them, and what becomes of each.
KINDS: dict[str, tuple[Callable[[Proxy, Segment], list[Segment]], bool, str]] = {
    "SYN with timestamps": (with_timestamps, True, "to_client"),
    "SYN without timestamps": (without_timestamps, True, "to_client"),
    "bad ACK": (bad_acks, True, "cookie_invalid"),
    "third ACK": (third_acks, True, "to_server"),
    "data from client": (requests, True, "translate"),
    "data from server": (answers, False, "translate"),
}
