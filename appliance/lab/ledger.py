"""What was sent held against what was counted: each frame of an attack has met its fate, or was
lost where a counter says so.

A frame goes from the client's interface to a port, which has it or has missed it, and to one fate
at a worker.  So what a kind's fate lacks of what was sent of that kind the port has missed, too,
and a drop reason that no kind meets has no frame.

Real clients are on the way meanwhile.  Their SYNs are counted by their own kernel, and so are the
RSTs of both hosts, of which the proxy may drop any: whose first segments are lost takes up ports
that others had with a segment that proves nothing, which goes to the server as one of theirs, and
its RST is of nobody's window.  What else of theirs is dropped shows as more than was sent.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from synproxy.v1.stats_service_pb2 import GetStatsResponse

from appliance.lab.mixture import Kind
from appliance.lab.proxy import Proxy, imbalance
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

BLIND = 2**-26              # cookies without timestamps that an ACK hits by chance: proxy/cookie
DEVIATIONS = 6              # of that count, which nothing exceeds
QUIET_S = 10
SYNS = ("TcpActiveOpens", "TcpExtTCPSynRetrans")
RSTS = "TcpOutRsts"
ERRORS = ("IcmpInDestUnreachs", "Icmp6InPktTooBigs")


@dataclass(frozen=True)
class Reading:
    """At a moment when nothing is under way."""

    fates: Counter[str]
    drops: Counter[str]
    offered: int            # frames that the client's interface has sent
    received: int           # by the port that it leads to
    missed: int             # by that port, for want of room
    client_syns: int
    rsts: int               # of the hosts' own
    errors: int             # of ICMP, at the server

    def since(self, before: "Reading") -> "Reading":
        # A Counter's difference has no zeros, and no counter ever falls.
        return Reading(self.fates - before.fates, self.drops - before.drops,
                       *(getattr(self, name) - getattr(before, name) for name in (
                           "offered", "received", "missed", "client_syns", "rsts", "errors")))


def read(lab: Lab, proxy: Proxy) -> Reading:
    """Once all that was sent has come to its end."""
    offered, stats = frames_sent(lab), proxy.stats()

    def rests() -> bool:
        nonlocal offered, stats
        before = offered, _received(stats)
        offered, stats = frames_sent(lab), proxy.stats()
        return (before == (offered, _received(stats))
                and all(imbalance(worker) == (0, 0) for worker in stats.workers))

    until(rests, seconds=QUIET_S, what="every frame to have met its fate")
    fates: Counter[str] = Counter()
    drops: Counter[str] = Counter()
    for worker in stats.workers:
        fates.update(worker.counters)
        drops.update(worker.drops)
    (port,) = (port for port in stats.ports if port.role == "client")
    return Reading(
        fates, drops, offered, port.rx_packets, port.rx_missed,
        sum(map(lab.client.counter, SYNS)),
        sum(host.counter(RSTS) for host in (lab.client, lab.server)),
        sum(map(lab.server.counter, ERRORS)))


def frames_sent(lab: Lab) -> int:
    """By the client's interface."""
    shown = lab.client.run(["ip", "-json", "-stats", "link", "show", "eth0"]).stdout
    return int(json.loads(shown)[0]["stats64"]["tx"]["packets"])


def _received(stats: GetStatsResponse) -> int:
    return sum(worker.counters["received"] for worker in stats.workers)


@dataclass(frozen=True)
class Line:
    """A fate: frames that were sent to it, and that have met it."""

    fate: str
    sent: int
    met: int


class Ledger:
    def __init__(self, gained: Reading, kinds: Sequence[Kind], sent: Mapping[str, int]) -> None:
        """`sent` is by kind."""
        self.gained = gained
        by_fate: Counter[str] = Counter()
        for kind in kinds:
            by_fate[kind.fate] += sent[kind.name]
        self.lines = [Line(fate, count, self._met(fate)) for fate, count in by_fate.items()]
        by_chance = by_fate["cookie_invalid"] * BLIND
        self._by_chance = math.ceil(by_chance + DEVIATIONS * math.sqrt(by_chance))

    def _met(self, fate: str) -> int:
        if fate == "bridged":           # the hosts' own ARP and ND are, too
            return self.gained.errors
        if fate == "synack_sent":
            return self.gained.fates[fate] - self.gained.client_syns
        return self.gained.drops[fate]

    @property
    def unattributed(self) -> dict[str, int]:
        """Drops that nothing of what was sent explains, by reason."""
        excess = {line.fate: line.met - line.sent for line in self.lines if line.met > line.sent}
        fates = {line.fate for line in self.lines}
        theirs = Counter(rst_out_of_window=self.gained.rsts)
        others = Counter({reason: count for reason, count in self.gained.drops.items()
                          if reason not in fates})
        return excess | dict(others - theirs)

    @property
    def lost(self) -> int:
        """Frames of the attack without a fate."""
        return sum(max(line.sent - line.met, 0) for line in self.lines)

    def faults(self) -> list[str]:
        """What doesn't add up."""
        gained = self.gained
        said = [f"{count} frames more are {reason} than were sent to be"
                for reason, count in self.unattributed.items()]
        if self.lost > gained.missed + self._by_chance:
            said.append(f"{self.lost} frames have no fate, and the port has missed {gained.missed}")
        if gained.offered != gained.received + gained.missed:
            said.append(f"the client's interface has sent {gained.offered} frames, and the port has"
                        f" received {gained.received} and missed {gained.missed}")
        return said
