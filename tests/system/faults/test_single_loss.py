"""Whichever single segment is lost, on whichever side: the conversation comes to its end.

Each of the first 40 segments in each direction is lost once, between client and proxy and
between proxy and server, where the client speaks first and where the server does, over IPv4
and IPv6.  All of that happens at once, each case to a connection of its own; the client's
options change from one test to the next.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import pytest

from appliance.lab.dialogues import Conversation, converse
from appliance.lab.faults import Harm, Rule, Way
from appliance.lab.peers import Peer
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.tcp_options import ALL, COMBINATIONS, configure, named
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab
from appliance.lab.waiting import until

Figure = Callable[[str], None]

SIDES = ("client", "server")
SEGMENTS = 40
FIRST_SEGMENTS = 10     # the handshake on both sides, and what follows it
TURNS, STREAM_BYTES = 6, 50_000     # more than 40 segments each way, ACKs not counted
AT_ONCE = 160           # more would wait longer for the two cores than for what was lost
TIMEOUT_S = 60
FIN_PORTS = 19_000


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


@pytest.mark.usefixtures("proxy", "journal", "_harmless_again")
@pytest.mark.parametrize("client_has", COMBINATIONS, ids=named)
def test_any_single_loss_is_recovered(lab: Lab, client_has: tuple[bool, ...],
                                      figure: Figure) -> None:
    configure(lab.client, client_has)
    # Ports of their own, since former ones are in TIME-WAIT.
    lose_each(lab, cases(first_port=10_000 + 1000 * COMBINATIONS.index(client_has)), figure)


@pytest.mark.usefixtures("journal", "_harmless_again")
def test_so_it_is_where_the_window_is_shut_at_first(lab: Lab, figure: Figure) -> None:
    """Without early data the client waits for what opens its window, which may be lost as well."""
    configure(lab.client, ALL)
    with Proxy(lab, "AF_XDP", "auto", SERVICES + "    options: {early_data: false}\n"):
        lose_each(lab, cases(first_port=20_000, segments=FIRST_SEGMENTS), figure)


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


@pytest.mark.usefixtures("proxy", "journal", "_harmless_again")
def test_a_lost_fin_is_recovered(lab: Lab) -> None:
    """The end of a connection, in each direction, on each side."""
    kinds = list(product(SIDES, Way, (SERVER_IPV4, SERVER_IPV6), (Peer.ECHOES, Peer.GREETS)))
    for side in SIDES:
        lab.wires[side].obey(Harm(rules=tuple(
            Rule(way, flags="FA", client_port=FIN_PORTS + number)
            for number, (lossy_side, way, _, _) in enumerate(kinds) if lossy_side == side)))

    outcomes = converse(lab, [
        Conversation(address, peer, FIN_PORTS + number, turns=1)
        for number, (_, _, address, peer) in enumerate(kinds)], timeout_s=TIMEOUT_S)

    assert not [outcome for outcome in outcomes if outcome.failure]
    # A client is content before a lost FIN of its own has been sent again.
    until(lambda: not in_last_ack(lab), seconds=5, what="every FIN to be acknowledged")
    for side in SIDES:
        assert lab.wires[side].carried().rule_hits == [1] * (len(kinds) // 2)


def in_last_ack(lab: Lab) -> str:
    return "".join(host.run(["ss", "-Htn", "state", "last-ack"]).stdout
                   for host in (lab.client, lab.server))
