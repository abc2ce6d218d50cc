"""What clients get who prove nothing, and what they open: frames by the million.

Long forms: `make forged-long`, a thousand million ACKs and ten million frames of each class.
"""

import os

import pytest
from cython_core._testing_forger import Forger

from .connection import SYN_IPV4, Connection
from .forgery import acks, classes, forger, most_by_chance
from .harness import Proxy

ACKS = int(os.environ.get("FORGED_ACKS", 10**7))
FRAMES = int(os.environ.get("FORGED_FRAMES", 10**4))
POLICIES = ("drop", "forward", "reset")
CLASSES = dict(classes())
BLIND = 2**-26                  # proxy/cookie's head


@pytest.mark.timeout(3600)
def test_acks_of_all_flag_sets_open_no_more_than_chance_does():
    proxy, forged = forger(acks())
    forged.send(ACKS)
    counters = proxy.counters
    assert counters.received == forged.frames == sum(forged.told().values()) >= ACKS
    assert counters.cookie_valid <= most_by_chance(forged.frames * BLIND)
    assert counters.syn_received == 0
    assert forged.passed == counters.server_syn_sent + counters.server_syn_retrans
    assert forged.echoes == counters.server_timeout
    kept = proxy.gauges
    assert kept.connections <= counters.cookie_valid
    assert kept.records <= kept.connections
    assert (kept.early, kept.supplies) == (0, 0)


def test_a_forger_that_knows_a_cookie_is_seen():
    """So that nothing found means something: one good ACK among those that are drawn."""
    proxy = Proxy()
    conn = Connection(proxy, SYN_IPV4).ask()
    forged = Forger(proxy.box, [*acks(), (conn.ack.frame(), 0, 0, [])])
    forged.send(64)
    assert forged.told()["to_server"] == forged.passed == 1
    assert proxy.gauges.connections == 1


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("name", CLASSES)
def test_nobody_gets_more_than_was_sent(name, policy):
    proxy, forged = forger(CLASSES[name], unknown_flow=policy)
    forged.send(FRAMES)
    assert forged.echoes <= forged.frames >= FRAMES
    assert forged.echo_octets <= forged.octets
    assert forged.longer == 0
    assert proxy.counters.received == forged.frames
    assert proxy.gauges.connections <= most_by_chance(forged.frames * BLIND)


@pytest.mark.parametrize("name", [name for name in CLASSES if name.endswith("SYN")])
def test_each_syn_is_answered(name):
    _, forged = forger(CLASSES[name])
    forged.send(FRAMES)
    assert forged.told() == {"to_client": forged.frames}


def test_how_many_there_may_be_by_chance():
    assert most_by_chance(0.15) in range(5, 9)
    assert most_by_chance(15) in range(40, 60)
