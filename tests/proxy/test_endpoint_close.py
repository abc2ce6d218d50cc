"""FINs in every order that two ends and a wire can give them: RFC 9293 §3.6.

Whatever the order, each segment reaches the other end in its numbers, both FINs make TIME-WAIT,
and the connection is counted as closed once.  The plain orders stand in test_close.
"""

from itertools import permutations

import pytest

from .connection import Connection
from .harness import service

ASK, ANSWER = b"c" * 300, b"s" * 700


def pass_on(conn, side, segment):
    if side == "client":
        assert conn.proxy.from_client(segment).to_server == conn.as_server_sees(segment)
    else:
        assert conn.proxy.from_server(segment).to_client == conn.as_client_sees(segment)


def simultaneous(conn):
    """Each end sends data and a FIN before it has anything of the other's: (side, segment)."""
    asked, answered = len(ASK), len(ANSWER)
    return {
        "client-fin": ("client", conn.client(flags="FPA", payload=ASK)),
        "server-fin": ("server", conn.server(flags="FPA", payload=ANSWER)),
        "client-ack": ("client", conn.client(asked + 1, answered + 1)),
        "server-ack": ("server", conn.server(answered + 1, asked + 1)),
    }


# An ACK may overtake its own side's FIN only if that is lost and comes again.
ORDERS = [order for order in permutations(["client-fin", "server-fin", "client-ack", "server-ack"])
          if order.index("client-ack") > order.index("server-fin")
          and order.index("server-ack") > order.index("client-fin")]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
def test_both_close_at_once_with_data_still_on_its_way(proxy, syn, order):
    conn = Connection(proxy, syn).establish()
    segments = simultaneous(conn)
    for name in order:
        pass_on(conn, *segments[name])
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("time_wait", 1)
    assert proxy.drops == {}


@pytest.mark.parametrize("twice", ["client-fin", "server-fin", "client-ack", "server-ack"])
def test_a_segment_of_a_simultaneous_close_may_come_twice(proxy, syn, twice):
    conn = Connection(proxy, syn).establish()
    segments = simultaneous(conn)
    for name in (*segments, twice, twice):
        pass_on(conn, *segments[name])
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("time_wait", 1)


@pytest.mark.parametrize("closer", ["client", "server"])
def test_a_fin_before_the_data_that_it_ends_closes_that_side_all_the_same(proxy, syn, closer):
    """Reordered: the FIN's SEQ is past a hole, and the hole is filled afterwards."""
    conn = Connection(proxy, syn).establish()
    send = getattr(conn, closer)
    pass_on(conn, closer, send(1000, flags="FA"))
    pass_on(conn, closer, send(0, flags="PA", payload=b"h" * 1000))
    assert (proxy.connection.state, proxy.drops) == ("half_closed", {})


@pytest.mark.parametrize("closer", ["client", "server"])
def test_the_open_side_of_a_half_closed_connection_may_talk_for_hours(proxy, syn, closer):
    conn = Connection(proxy, syn).establish()
    other = "server" if closer == "client" else "client"
    pass_on(conn, closer, getattr(conn, closer)(flags="FA"))
    for n in range(4):
        proxy.clock.leap(3500)                  # of 3600 s: half_closed_ticks
        pass_on(conn, other, getattr(conn, other)(100 * n, 1, flags="PA", payload=b"d" * 100))
        pass_on(conn, closer, getattr(conn, closer)(1, 100 * n + 100))
    pass_on(conn, other, getattr(conn, other)(400, 1, flags="FA"))
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("time_wait", 1)


@pytest.mark.parametrize("closer", ["client", "server"])
def test_a_half_closed_connection_is_no_open_one_to_its_timeout(proxy, syn, closer):
    proxy.publish(service(half_closed_ticks=40, closed_ticks=1))
    conn = Connection(proxy, syn).establish()
    pass_on(conn, closer, getattr(conn, closer)(flags="FA"))
    proxy.clock.leap(40 * 4 + 8)
    assert proxy.gauges.connections == 0


# Beyond a FIN there is nothing, but an end may say so for itself (RFC 9293 §3.10.7.4).

@pytest.mark.parametrize("closer", ["client", "server"])
@pytest.mark.parametrize("sent", [1, 2, 1449])
def test_data_beyond_a_fin_is_left_to_its_receiver(proxy, syn, closer, sent):
    conn = Connection(proxy, syn).establish()
    pass_on(conn, closer, getattr(conn, closer)(flags="FA"))
    pass_on(conn, closer, getattr(conn, closer)(sent, flags="PA", payload=b"beyond"))
    pass_on(conn, closer, getattr(conn, closer)(sent + 6, flags="FA"))
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("half_closed", 0)


@pytest.mark.parametrize("side", ["client", "server"])
def test_in_time_wait_a_last_ack_that_was_lost_is_asked_for_again(proxy, syn, side):
    conn = Connection(proxy, syn).bring_to("time_wait")
    other = "server" if side == "client" else "client"
    for _ in range(6):
        proxy.clock.leap(8)
        pass_on(conn, other, getattr(conn, other)(0, 1, flags="FA"))
        pass_on(conn, side, getattr(conn, side)(1, 1))
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("time_wait", 1)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_reset_on_the_heels_of_its_own_fin_passes(proxy, syn, side):
    """Nobody has acknowledged the FIN yet, so that only its receiver knows whether it is exact."""
    conn = Connection(proxy, syn).establish()
    pass_on(conn, side, getattr(conn, side)(flags="FA"))
    pass_on(conn, side, getattr(conn, side)(1, flags="R", ack=0, tsval=None, tsecr=None))
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == ("half_closed", True)
