"""RST: exact it ends a connection, in window it is doubted, elsewhere it is dropped.

RFC 5961 §3.2, in each state, from either side, in the sequence space of its receiver; numbers
before and after their wrap.
"""

import pytest

from .connection import CLIENT_ISN, SERVER_ISN, Connection, wrap
from .harness import service
from .segments import replace

WINDOW = 2**16              # of either side (502 and 509 << 7), rounded up
SIDES = ["client", "server"]
# Bytes that both sides have sent and acknowledged: before the wrap of their numbers, and after.
MOVED = [0, 5000]
BARE = {"flags": "R", "ack": 0, "tsval": None, "tsecr": None}
FINS = {"established": (0, 0), "half_closed": (1, 0), "time_wait": (1, 1)}

assert wrap(CLIENT_ISN + 5000) < CLIENT_ISN
assert wrap(SERVER_ISN + 5000) < SERVER_ISN


def moved_to(proxy, syn, state, moved):
    """A connection in `state` whose ends have all of each other's bytes."""
    conn = Connection(proxy, syn).establish()
    proxy.from_client(conn.client(flags="PA", payload=b"c" * min(moved, 1400)))
    proxy.from_server(conn.server(got=moved, flags="PA", payload=b"s" * min(moved, 1400)))
    proxy.from_client(conn.client(moved, moved))
    client_fin, server_fin = FINS[state]
    if client_fin:
        proxy.from_client(conn.client(moved, moved, flags="FA"))
        proxy.from_server(conn.server(moved, moved + 1))
    if server_fin:
        proxy.from_server(conn.server(moved, moved + 1, flags="FA"))
        proxy.from_client(conn.client(moved + 1, moved + 1))
    assert proxy.connection.state == state
    return conn


def reset(conn, side, state, moved, off, **differs):
    """`off` from what its receiver expects next."""
    client_fin, server_fin = FINS[state]
    if side == "client":
        return conn.client(moved + client_fin + off, moved + server_fin, **differs)
    return conn.server(moved + server_fin + off, moved + client_fin, **differs)


def assert_passes(conn, rst, side):
    out = conn.proxy.run([rst], side == "client")
    if side == "client":
        assert out.to_server == conn.as_server_sees(rst)
    else:
        assert out.to_client == conn.as_client_sees(rst)


@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("state", FINS)
@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("differs", [BARE, {"flags": "RA"}], ids=["bare", "with-ack"])
def test_an_exact_reset_passes_and_ends_the_connection(proxy, syn, side, state, moved, differs):
    conn = moved_to(proxy, syn, state, moved)
    assert_passes(conn, reset(conn, side, state, moved, 0, **differs), side)
    assert proxy.connection.state == "closed"
    assert (proxy.counters.conn_closed, proxy.drops) == (1, {})


@pytest.mark.parametrize("off", [1, 1448, WINDOW - 1])
@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("state", FINS)
@pytest.mark.parametrize("side", SIDES)
def test_a_reset_in_window_passes_and_is_doubted(proxy, syn, side, state, moved, off):
    conn = moved_to(proxy, syn, state, moved)
    assert_passes(conn, reset(conn, side, state, moved, off, **BARE), side)
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == (state, True)


@pytest.mark.parametrize("off", [-1, -1448, WINDOW + 1, 2**31])
@pytest.mark.parametrize("moved", MOVED)
@pytest.mark.parametrize("state", FINS)
def test_a_clients_reset_out_of_window_is_dropped(proxy, syn, state, moved, off):
    conn = moved_to(proxy, syn, state, moved)
    before = proxy.connection
    for differs in (BARE, {"flags": "RA"}):
        rst = reset(conn, "client", state, moved, off, **differs)
        assert proxy.from_client(rst).nothing == "rst_out_of_window"
    assert (proxy.connection, proxy.drops) == (before, {"rst_out_of_window": 2})


@pytest.mark.parametrize("got", [2**17, 2**31, -2**17])
@pytest.mark.parametrize("state", FINS)
def test_an_exact_reset_that_acknowledges_what_was_never_sent_is_dropped(proxy, syn, state, got):
    conn = moved_to(proxy, syn, state, 0)
    rst = reset(conn, "client", state, 0, 0, flags="RA")
    assert proxy.from_client(replace(rst, ack=wrap(rst.ack + got))).nothing == "rst_out_of_window"
    assert proxy.connection.state == state


@pytest.mark.parametrize("side", SIDES)
def test_an_exact_reset_passes_where_its_receivers_window_is_shut(conn, side):
    proxy, other = conn.proxy, "server" if side == "client" else "client"
    proxy.run([getattr(conn, other)(window=0)], other == "client")
    assert_passes(conn, getattr(conn, side)(**BARE), side)      # RFC 9293 §3.10.7.4
    assert proxy.connection.state == "closed"


@pytest.mark.parametrize(("scale", "window_bytes"), [(10, 509 << 10), (2, 65160)])
def test_a_window_is_measured_by_its_own_scale_and_not_by_the_announced_one(
        proxy, ts_syn, scale, window_bytes):
    conn = Connection(proxy, ts_syn, wscale=scale).establish()
    proxy.from_server(conn.server(window=509))
    inside = conn.client(sent=window_bytes - 1, **BARE)
    assert proxy.from_client(inside).to_server == inside
    outside = conn.client(sent=2 * window_bytes + 1, **BARE)
    assert proxy.from_client(outside).nothing == "rst_out_of_window"


@pytest.mark.parametrize("side", SIDES)
def test_a_reset_that_comes_again_passes_again(conn, side):
    for _ in range(3):
        assert_passes(conn, getattr(conn, side)(**BARE), side)
    assert (conn.proxy.connection.state, conn.proxy.counters.conn_closed) == ("closed", 1)


@pytest.mark.parametrize("side", SIDES)
def test_either_end_may_answer_late_data_by_a_reset_of_its_own(conn, side):
    """RFC 9293 §3.10.7.1: SEQ is what the late segment had acknowledged."""
    proxy, other = conn.proxy, "server" if side == "client" else "client"
    assert_passes(conn, getattr(conn, side)(**BARE), side)
    proxy.run([getattr(conn, other)(flags="PA", payload=b"late")], other == "client")
    assert_passes(conn, getattr(conn, side)(**BARE), side)
    assert proxy.drops == {}


# What its receiver knows better.

@pytest.mark.parametrize("state", FINS)
@pytest.mark.parametrize("side", SIDES)
def test_an_end_that_acknowledges_more_than_the_reset_had_has_ignored_it(proxy, syn, side, state):
    """Its RCV.NXT had passed the RST's SEQ before the proxy saw that: RFC 5961 §3.2, out of
    window."""
    conn = moved_to(proxy, syn, state, 0)
    proxy.run([reset(conn, side, state, 0, 0, **BARE)], side == "client")
    assert proxy.connection.state == "closed"
    client_fin, server_fin = FINS[state]
    goes_on = (conn.server(server_fin, client_fin + 700) if side == "client"
               else conn.client(client_fin, server_fin + 700))
    proxy.run([goes_on], side != "client")
    assert (proxy.connection.state, proxy.counters.conn_revived) == (state, 1)


@pytest.mark.parametrize("side", SIDES)
def test_a_revived_connection_outlives_the_time_of_a_tombstone(conn, side):
    proxy = conn.proxy
    proxy.run([getattr(conn, side)(**BARE)], side == "client")
    goes_on = conn.server(got=700) if side == "client" else conn.client(got=700)
    proxy.run([goes_on], side != "client")
    proxy.clock.leap(8 * 30 * 4)
    late = conn.client(sent=700, payload=b"late")
    assert proxy.from_client(late).to_server == conn.as_server_sees(late)
    assert proxy.connection.state == "established"


@pytest.mark.parametrize("side", SIDES)
def test_what_the_resets_own_sender_says_revives_nothing(conn, side):
    proxy = conn.proxy
    proxy.run([getattr(conn, side)(**BARE)], side == "client")
    overtaken = getattr(conn, side)(got=700)
    proxy.run([overtaken], side == "client")
    assert (proxy.connection.state, proxy.counters.conn_revived) == ("closed", 0)


def test_a_forged_ack_does_not_keep_the_servers_reset_from_its_client(conn):
    proxy = conn.proxy
    proxy.from_client(conn.client(got=60_000))          # of what the server has not sent
    assert_passes(conn, conn.server(**BARE), "server")
    assert proxy.connection.rst_doubtful


@pytest.mark.parametrize("payload", [b"", b"some more"])
def test_the_servers_next_segment_takes_a_forged_ack_back(conn, payload):
    proxy = conn.proxy
    proxy.from_client(conn.client(got=60_000))
    proxy.from_server(conn.server(payload=payload))
    assert_passes(conn, conn.server(sent=len(payload), **BARE), "server")
    assert proxy.connection.state == "closed"


def test_forged_acks_one_after_another_lead_nowhere(conn):
    proxy = conn.proxy
    for got in range(60_000, 2**20, 60_000):
        proxy.from_client(conn.client(got=got))
        proxy.from_server(conn.server())
    assert proxy.connection.client_ack == wrap(conn.server_isn + 1)


# While the server is awaited.

@pytest.mark.parametrize("differs", [BARE, {"flags": "RA"}], ids=["bare", "with-ack"])
def test_a_clients_exact_reset_ends_the_servers_half_as_well(proxy, syn, differs):
    conn = Connection(proxy, syn).prove()
    out = proxy.from_client(conn.client(**differs)).to_server
    assert (out.flags, out.seq) == ("R", wrap(syn.seq + 1))
    assert (proxy.connection.state, proxy.gauges.half_open) == ("refused", 0)


def test_a_client_may_give_up_after_a_byte_that_nobody_has_acknowledged(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(flags="PA", payload=b"p"))
    proxy.from_client(conn.client(sent=1, **BARE))      # RFC 9293 §3.10.5: SEQ is SND.NXT
    assert (proxy.connection.state, proxy.gauges.half_open) == ("refused", 0)


@pytest.mark.parametrize("off", [-1, 2**16 + 1, 2**31])
def test_a_clients_reset_from_elsewhere_leaves_the_server_awaited(proxy, syn, off):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_client(conn.client(sent=off, **BARE)).nothing == "rst_out_of_window"
    assert (proxy.connection.state, proxy.gauges.half_open) == ("syn_sent", 1)


@pytest.mark.parametrize("seq", [0, 1, 2**31, 2**32 - 1])
def test_a_refusal_is_known_by_its_ack_whatever_its_number(proxy, syn, seq):
    conn = Connection(proxy, syn).prove()       # RFC 9293 §3.10.7.3, second
    rst = proxy.from_server(conn.server(flags="RA", seq=seq)).to_client
    assert (rst.flags, rst.seq) == ("RA", wrap(conn.synack.seq + 1))
    assert (proxy.connection.state, proxy.counters.server_refused) == ("refused", 1)


@pytest.mark.parametrize("off", [-1, 1, 2**31])
def test_a_refusal_of_something_else_leaves_the_server_awaited(proxy, syn, off):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_server(conn.server(got=off, flags="RA")).nothing == "rst_out_of_window"
    assert (proxy.connection.state, proxy.gauges.half_open) == ("syn_sent", 1)
    assert len(proxy.from_server(conn.server_synack).both) == 2


@pytest.mark.parametrize("side", SIDES)
def test_a_reset_after_a_refusal_goes_no_further(proxy, syn, side):
    conn = Connection(proxy, syn).bring_to("refused")
    assert proxy.run([getattr(conn, side)(**BARE)], side == "client").nothing == "no_connection"


# How long a doubt lasts.

@pytest.mark.parametrize("side", SIDES)
def test_a_doubted_connection_that_nobody_confirms_goes_as_one_in_time_wait(proxy, syn, side):
    proxy.publish(service(time_wait_ticks=40))
    conn = Connection(proxy, syn).establish()
    proxy.run([getattr(conn, side)(sent=9, **BARE)], side == "client")
    proxy.clock.leap(40 * 4)
    assert proxy.connection.state == "established"
    proxy.clock.leap(8)
    assert proxy.gauges.connections == 0
