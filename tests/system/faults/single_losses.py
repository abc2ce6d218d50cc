"""Conversations that lose one segment each, at a side, in a direction, over a family."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from appliance.lab.dialogues import Conversation, converse
from appliance.lab.faults import Harm, Rule, Way
from appliance.lab.peers import Peer
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab

Figure = Callable[[str], None]

SIDES = ("client", "server")
SEGMENTS = 40
TURNS, STREAM_BYTES = 6, 50_000     # more than 40 segments each way, ACKs not counted
AT_ONCE = 160           # more would wait longer for the two cores than for what was lost
TIMEOUT_S = 60


@dataclass(frozen=True)
class Case:
    """One segment to be lost, in a connection of its own."""

    side: str
    way: Way
    nth: int
    address: str
    peer: Peer
    source_port: int

    @property
    def rule(self) -> Rule:
        return Rule(self.way, nth=self.nth, client_port=self.source_port)

    @property
    def conversation(self) -> Conversation:
        return Conversation(self.address, self.peer, self.source_port, TURNS, STREAM_BYTES)


def cases(first_port: int, segments: int = SEGMENTS) -> list[Case]:
    addresses, peers = (SERVER_IPV4, SERVER_IPV6), (Peer.ECHOES, Peer.GREETS)
    matrix = product(SIDES, Way, range(1, segments + 1), addresses, peers)
    possible = [Case(*case, source_port=first_port + number) for number, case in enumerate(matrix)]
    return [case for case in possible if not is_silent_end(case)]


def is_silent_end(case: Case) -> bool:
    """The client's third ACK, where the server speaks first: see test_silent_client."""
    return (case.side, case.way, case.nth, case.peer) == (
        "client", Way.TO_SERVER, 2, Peer.GREETS)


def lose_each(lab: Lab, ours: Sequence[Case], figure: Figure) -> None:
    for side in SIDES:
        lab.wires[side].obey(Harm(rules=tuple(case.rule for case in ours if case.side == side)))

    outcomes = converse(lab, [case.conversation for case in ours], timeout_s=TIMEOUT_S,
                        at_once=AT_ONCE)

    failed = [(case, outcome) for case, outcome in zip(ours, outcomes, strict=True)
              if outcome.failure]
    assert not failed
    took_s = sorted(outcome.ended_s or 0 for outcome in outcomes)
    figure(f"{len(ours)} connections, the median took {took_s[len(took_s) // 2]:.1f} s, "
           f"the longest {took_s[-1]:.1f} s")
    for side in SIDES:
        hits = lab.wires[side].carried().rule_hits
        assert hits == [1] * len(hits), "each conversation is long enough to lose its segment"
