"""A connection that has ended is remembered as long as its cookie lives: design/protocol G15.

Whatever way it ended, the ACK that had opened it opens nothing again.
"""

import pytest

from .connection import Connection, wrap
from .harness import Proxy, service
from .segments import replace

BARE = {"flags": "R", "ack": 0, "tsval": None, "tsecr": None}
COOKIE_LIFE_S = 120         # at most: two epochs


def closed_at_once(conn):
    conn.proxy.from_client(conn.client(flags="FA"))
    conn.proxy.from_server(conn.server(flags="FA"))
    conn.proxy.from_client(conn.client(sent=1, got=1))
    conn.proxy.from_server(conn.server(sent=1, got=1))


def given_up(conn):
    while conn.proxy.gauges.half_open:
        conn.proxy.clock.advance(0.25)


DEATHS = {
    "client-closes": lambda conn: conn.establish().close_by_client(),
    "server-closes": lambda conn: conn.establish().close_by_server(),
    "both-close": lambda conn: closed_at_once(conn.establish()),
    "client-resets": lambda conn: conn.establish().proxy.from_client(conn.client(**BARE)),
    "server-resets": lambda conn: conn.establish().proxy.from_server(conn.server(**BARE)),
    "client-resets-in-window": lambda conn: conn.establish().proxy.from_client(
        conn.client(sent=9, **BARE)),
    "server-resets-in-window": lambda conn: conn.establish().proxy.from_server(
        conn.server(sent=9, **BARE)),
    "reset-after-fin": lambda conn: conn.bring_to("half_closed").proxy.from_client(
        conn.client(sent=1, **BARE)),
    "reset-in-time-wait": lambda conn: conn.bring_to("time_wait").proxy.from_client(
        conn.client(sent=1, **BARE)),
    "server-refuses": lambda conn: conn.bring_to("refused"),
    "server-is-silent": lambda conn: given_up(conn.prove()),
    "client-gives-up": lambda conn: conn.prove().proxy.from_client(conn.client(**BARE)),
    "nobody-speaks": lambda conn: conn.establish().proxy.clock.leap(12),
    "nobody-speaks-half-closed": lambda conn: conn.bring_to("half_closed").proxy.clock.leap(12),
}


@pytest.mark.parametrize("death", DEATHS)
def test_no_replay_of_the_ack_opens_a_connection_while_its_cookie_lives(syn, death):
    # A SYN to a silent server is given up within seconds, so that the cookie outlives it; idle
    # timeouts of a tick stand for a service with short ones.
    proxy = Proxy(service(syn_retries=1, established_ticks=1, half_closed_ticks=1))
    proxy.clock.leap(30)                # the first second of an epoch, for the longest life
    conn = Connection(proxy, syn).ask()
    DEATHS[death](conn)
    replays = (conn.ack, replace(conn.ack, seq=syn.seq), conn.client(flags="PA", payload=b"x"))
    for _ in range(COOKIE_LIFE_S // 10):
        out = proxy.from_client(*replays)
        assert [segment for _, segment in out.sent if "S" in segment.flags] == []
        proxy.clock.leap(10)
    assert (proxy.counters.cookie_valid, proxy.counters.server_syn_sent) == (1, 1)


@pytest.mark.parametrize("death", DEATHS)
def test_a_tombstone_gives_way_to_the_next_handshake(syn, death):
    proxy = Proxy(service(syn_retries=1, established_ticks=1, half_closed_ticks=1))
    conn = Connection(proxy, syn).ask()
    DEATHS[death](conn)
    new = conn.anew()
    *_, (to_server, server_syn) = proxy.from_client(new.ack).sent
    assert (to_server, server_syn.flags, server_syn.seq) == (True, "S", new.syn.seq)
    new.server_syn = server_syn
    new.window_update, new.server_ack = proxy.from_server(new.server_synack).both
    ask = new.client(flags="PA", payload=b"ask")
    assert proxy.from_client(ask).to_server == new.as_server_sees(ask)
    assert (proxy.gauges.connections, proxy.counters.cookie_valid) == (1, 2)


def test_the_late_segments_of_a_connection_in_its_grave_keep_their_numbers(conn):
    proxy = conn.proxy
    proxy.from_client(conn.client(**BARE))
    proxy.clock.leap(60)
    for sent in (0, 1448, 2896):
        data = conn.server(sent, flags="PA", payload=b"late")
        assert proxy.from_server(data).to_client == conn.as_client_sees(data)
    assert proxy.connection.state == "closed"
    assert proxy.connection.server_ack == wrap(conn.syn.seq + 1)


def test_a_synack_that_comes_again_after_the_clients_reset_is_not_acknowledged(conn):
    """Our ACK was lost and the RST as well: RFC 9293 §3.10.7.1, there is no connection."""
    conn.proxy.from_client(conn.client(**BARE))
    answer = conn.proxy.from_server(conn.server_synack).to_server
    assert (answer.flags, answer.seq) == ("R", wrap(conn.syn.seq + 1))
