"""Draining: no new connection becomes the proxy's, and those that it has go on."""

import pytest

from .connection import SYN_IPV4, Connection
from .harness import EPOCH_S, Proxy, service
from .segments import replace
from .test_activation import Direct

ANOTHER = 40001     # a client's port
BOTH = pytest.mark.parametrize("policy", ["bridge", "drop"])


def goes_on(proxy, conn):
    to_server = proxy.from_client(conn.client(payload=b"GET")).to_server
    to_client = proxy.from_server(conn.server(payload=b"200")).to_client
    return (to_server.payload, to_client.payload) == (b"GET", b"200")


def test_a_syn_passes_to_the_server(proxy, syn):
    proxy.publish(service(), drain="bridge")
    assert Direct(proxy, syn).pass_through().goes_on()
    assert (proxy.counters.syn_passed, proxy.counters.synack_sent) == (1, 0)


@pytest.mark.parametrize("activation", ["always", "auto", "monitor", "off"])
def test_a_syn_is_dropped_whatever_it_would_have_met(syn, activation):
    proxy = Proxy()
    proxy.publish(service(activation=activation), drain="drop")
    assert proxy.from_client(syn).nothing == "draining"
    assert (proxy.counters.draining, proxy.counters.syn_received) == (1, 0)


@BOTH
def test_a_connection_goes_on(proxy, syn, policy):
    conn = Connection(proxy, syn).establish()
    proxy.publish(service(), drain=policy)
    proxy.clock.advance(300)
    assert goes_on(proxy, conn)


@BOTH
@pytest.mark.parametrize("grace_ms", [0, 120_000])
def test_a_handshake_that_has_begun_may_end(syn, policy, grace_ms):
    proxy = Proxy(service(grace_ms=grace_ms))
    asked = Connection(proxy, syn).ask()
    proven = Connection(proxy, replace(syn, sport=ANOTHER)).prove()
    proxy.publish(service(grace_ms=grace_ms), drain=policy)
    proxy.clock.leap(EPOCH_S - 1)
    assert proxy.from_client(asked.ack).to_server.flags == "S"
    assert len(proxy.from_server(proven.server_synack).both) == 2


def test_no_cookie_opens_a_connection_for_longer_than_its_age(proxy, syn):
    conn = Connection(proxy, syn).ask()
    proxy.publish(service(unknown_flow="drop"), drain="drop")
    proxy.clock.leap(2 * EPOCH_S)
    assert proxy.from_client(conn.ack).nothing == "cookie_invalid"


def test_dropping_lets_no_more_of_unknown_connections_pass_than_before(proxy):
    """Nobody's ACKs meet the same as ever."""
    ack = replace(Connection(proxy, SYN_IPV4).ask().ack, ack=1)
    proxy.publish(service(unknown_flow="drop"), drain="drop")
    proxy.clock.leap(300)
    assert proxy.from_client(ack).nothing == "cookie_invalid"


@BOTH
def test_a_server_may_still_open_connections_of_its_own(proxy, policy):
    proxy.publish(service(), drain=policy)
    syn = replace(SYN_IPV4, source=SYN_IPV4.destination, destination=SYN_IPV4.source,
                  sport=SYN_IPV4.dport, dport=SYN_IPV4.sport)
    assert proxy.from_server(syn).to_client == syn


@BOTH
def test_afterwards_syns_are_answered_again(proxy, syn, policy):
    proxy.publish(service(), drain=policy)
    proxy.from_client(syn)
    proxy.publish(service())
    assert proxy.from_client(replace(syn, sport=ANOTHER)).to_client.flags == "SA"


def test_what_was_opened_meanwhile_passes_on(proxy, syn):
    proxy.publish(service(), drain="bridge")
    direct = Direct(proxy, syn).pass_through()
    assert direct.goes_on()
    assert direct.goes_on()         # its client has spoken since it was known
    proxy.publish(service())
    proxy.clock.advance(300)
    assert direct.goes_on()


def test_a_service_that_leaves_is_left_alone(proxy, syn):
    """Its prefix is no more protected, so that nothing of it is refused."""
    proxy.publish(service(leaving=True, activation="off", unknown_flow="forward"), drain="drop")
    assert proxy.from_client(syn).to_server == syn
