"""Keep-alives: SEQ is one before the next, with no data or a byte of garbage.

RFC 9293 §3.8.4; RFC 1122 §4.2.3.6.  They pass, and keep a connection as any other segment does.
"""

import pytest

from .connection import Connection, wrap
from .harness import service

HOUR_S = 3600
IDLE_TICKS = 7200           # of 4 s: the product's default, 8 hours
SIDES = ["client", "server"]
GARBAGE = [b"", b"\0"]


def exchange(conn, side, sent, got, garbage):
    """A keep-alive and its answer: an ACK of what is there already, RFC 9293 §3.10.7.4."""
    other = "server" if side == "client" else "client"
    for who, segment in (
            (side, getattr(conn, side)(sent - 1, got, payload=garbage)),
            (other, getattr(conn, other)(got, sent))):
        if who == "client":
            assert conn.proxy.from_client(segment).to_server == conn.as_server_sees(segment)
        else:
            assert conn.proxy.from_server(segment).to_client == conn.as_client_sees(segment)


@pytest.mark.parametrize("garbage", GARBAGE, ids=["empty", "a-byte"])
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("moved", [0, 1, 5000])
def test_a_keepalive_and_its_answer_pass(conn, side, garbage, moved):
    conn.proxy.from_client(conn.client(moved, moved))
    conn.proxy.from_server(conn.server(moved, moved))
    exchange(conn, side, moved, moved, garbage)
    assert (conn.proxy.connection.state, conn.proxy.drops) == ("established", {})
    # Nothing of the garbage is counted as acknowledged.
    assert conn.proxy.connection.server_ack == wrap(conn.syn.seq + 1 + moved)
    assert conn.proxy.connection.client_ack == wrap(conn.server_isn + 1 + moved)


@pytest.mark.parametrize("garbage", GARBAGE, ids=["empty", "a-byte"])
@pytest.mark.parametrize("side", SIDES)
def test_it_keeps_a_connection_that_has_been_idle_for_hours(proxy, syn, side, garbage):
    proxy.publish(service(established_ticks=IDLE_TICKS))
    conn = Connection(proxy, syn).establish()
    for _ in range(3):
        proxy.clock.leap(8 * HOUR_S)        # to the last second
        exchange(conn, side, 0, 0, garbage)
    ask = conn.client(flags="PA", payload=b"still here")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)


@pytest.mark.parametrize("side", SIDES)
def test_the_first_of_several_keepalives_that_nobody_answers_is_enough(proxy, syn, side):
    conn = Connection(proxy, syn).establish()
    proxy.clock.leap(8 * HOUR_S)
    for _ in range(9):
        probe = getattr(conn, side)(-1)
        assert proxy.run([probe], side == "client").verdict == "translate"
        proxy.clock.leap(75)                # Linux's interval, tcp_keepalive_intvl
    assert proxy.connection.state == "established"


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("shut", ["client", "server"])
def test_a_keepalive_passes_where_a_window_is_shut(conn, side, shut):
    conn.proxy.run([getattr(conn, shut)(window=0)], shut == "client")
    exchange(conn, side, 0, 0, b"")


@pytest.mark.parametrize("state", ["half_closed", "time_wait"])
def test_a_half_closed_connection_is_kept_as_well(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    got = 1 if state == "time_wait" else 0
    for _ in range(5):
        proxy.clock.leap(50)
        exchange(conn, "client", 1, got, b"")
    assert proxy.connection.state == state


def test_a_keepalive_that_nobody_can_answer_yet_ends_here(proxy, syn):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_client(conn.client(-1)).nothing == "absorb"
    assert (proxy.connection.state, proxy.gauges.half_open) == ("syn_sent", 1)
