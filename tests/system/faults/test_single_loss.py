"""Whichever single segment is lost, on whichever side: the conversation comes to its end.

Each of the first 40 segments in each direction is lost once, between client and proxy and
between proxy and server, where the client speaks first and where the server does, over IPv4
and IPv6.  All of that happens at once, each case to a connection of its own; the client's
options change from one test to the next.
"""

from itertools import product

import pytest

from appliance.lab.dialogues import Conversation, converse
from appliance.lab.faults import Harm, Rule, Way
from appliance.lab.peers import Peer
from appliance.lab.tcp_options import COMBINATIONS, configure, named
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab
from appliance.lab.waiting import until

from .single_losses import SIDES, TIMEOUT_S, Figure, cases, lose_each

FIN_PORTS = 19_000


@pytest.mark.usefixtures("proxy", "journal", "_harmless_again")
@pytest.mark.parametrize("client_has", COMBINATIONS, ids=named)
def test_any_single_loss_is_recovered(lab: Lab, client_has: tuple[bool, ...],
                                      figure: Figure) -> None:
    configure(lab.client, client_has)
    # Ports of their own, since former ones are in TIME-WAIT.
    lose_each(lab, cases(first_port=10_000 + 1000 * COMBINATIONS.index(client_has)), figure)


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
