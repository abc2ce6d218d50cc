"""How connections end, and how their ports begin again.

RFC 9293 §3.6; RFC 5961 §3; design/protocol G2, G3, G15.
"""

import pytest

from .connection import STATES, SYN_IPV4, Connection, wrap
from .harness import Proxy, service
from .segments import Segment, replace

COOKIE_LIFE_S = 120         # at most


# FIN.

def test_a_client_closes_first(conn):
    fin = conn.client(flags="FA")
    assert conn.proxy.from_client(fin).to_server == conn.as_server_sees(fin)
    assert conn.proxy.connection.state == "half_closed"
    fin = conn.server(got=1, flags="FA")
    assert conn.proxy.from_server(fin).to_client == conn.as_client_sees(fin)
    assert conn.proxy.connection.state == "time_wait"
    last = conn.client(sent=1, got=1)
    assert conn.proxy.from_client(last).to_server == conn.as_server_sees(last)
    assert conn.proxy.counters.conn_closed == 1


def test_a_server_closes_first(conn):
    fin = conn.server(flags="FA")
    assert conn.proxy.from_server(fin).to_client == conn.as_client_sees(fin)
    assert conn.proxy.connection.state == "half_closed"
    fin = conn.client(got=1, flags="FA")
    assert conn.proxy.from_client(fin).to_server == conn.as_server_sees(fin)
    assert conn.proxy.connection.state == "time_wait"
    assert conn.proxy.counters.conn_closed == 1


def test_both_close_at_once(conn):
    proxy = conn.proxy
    ours, theirs = conn.client(flags="FA"), conn.server(flags="FA")
    assert proxy.from_client(ours).to_server == conn.as_server_sees(ours)
    assert proxy.from_server(theirs).to_client == conn.as_client_sees(theirs)
    assert proxy.connection.state == "time_wait"
    for segment in (conn.client(sent=1, got=1), ours):      # the FIN may be sent again
        assert proxy.from_client(segment).to_server == conn.as_server_sees(segment)
    assert proxy.counters.conn_closed == 1


@pytest.mark.parametrize("closer", ["client", "server"])
def test_a_half_closed_connection_still_carries_the_other_sides_data(proxy, syn, closer):
    proxy.publish(service(half_closed_ticks=30))
    conn = Connection(proxy, syn).establish()
    if closer == "client":
        proxy.from_client(conn.client(flags="FA"))
    else:
        proxy.from_server(conn.server(flags="FA"))
    for n in range(5):
        proxy.clock.leap(110)
        if closer == "client":
            data = conn.server(n * 100, 1, flags="PA", payload=b"d" * 100)
            assert proxy.from_server(data).to_client == conn.as_client_sees(data)
        else:
            data = conn.client(n * 100, 1, flags="PA", payload=b"d" * 100)
            assert proxy.from_client(data).to_server == conn.as_server_sees(data)
    assert proxy.connection.state == "half_closed"


def test_a_fin_out_of_window_closes_nothing(conn):
    far = conn.client(sent=2**20, got=2**20, flags="FA")
    assert conn.proxy.from_client(far).to_server == conn.as_server_sees(far)
    assert conn.proxy.connection.state == "established"


# RST.

@pytest.mark.parametrize("got", [0, 5000])
def test_an_exact_reset_of_the_client_closes(conn, got):
    conn.proxy.from_server(conn.server(got=got))
    rst = conn.client(sent=got, flags="R", ack=0, tsval=None, tsecr=None)
    assert conn.proxy.from_client(rst).to_server == rst
    assert conn.proxy.connection.state == "closed"
    assert conn.proxy.counters.conn_closed == 1


@pytest.mark.parametrize("side", ["client", "server"])
def test_an_old_ack_that_comes_late_moves_nothing_back(conn, side):
    proxy, other = conn.proxy, "server" if side == "client" else "client"
    for got in (5000, 0):
        proxy.run([getattr(conn, other)(got=got)], other == "client")
    rst = getattr(conn, side)(sent=5000, flags="R", ack=0, tsval=None, tsecr=None)
    proxy.run([rst], side == "client")
    assert proxy.connection.state == "closed"


def test_an_exact_reset_of_the_server_closes_and_reaches_the_client_at_once(conn):
    proxy = conn.proxy
    proxy.from_client(conn.client(flags="PA", payload=b"hello"))
    proxy.from_server(conn.server(got=5))
    rst = conn.server(flags="R", ack=0, tsval=None, tsecr=None)
    assert proxy.from_server(rst).to_client == conn.as_client_sees(rst)
    assert proxy.connection.state == "closed"


WINDOW = 2**16          # of either side, rounded up


@pytest.mark.parametrize("off", [1, 1000, WINDOW])
@pytest.mark.parametrize("side", ["client", "server"])
def test_a_reset_in_window_passes_but_its_receiver_must_confirm_it(conn, side, off):
    proxy = conn.proxy
    if side == "client":
        rst = conn.client(sent=off, flags="R", ack=0, tsval=None, tsecr=None)
        assert proxy.from_client(rst).to_server == rst
        confirm = conn.server()
    else:
        rst = conn.server(sent=off, flags="R", ack=0, tsval=None, tsecr=None)
        assert proxy.from_server(rst).to_client == conn.as_client_sees(rst)
        confirm = conn.client()
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == ("established", True)
    # A challenge ACK (RFC 5961 §3.2) or any other sign of life heals it.
    proxy.run([confirm], side == "server")
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == ("established", False)


@pytest.mark.parametrize(("side", "off"), [
    ("client", -1), ("client", WINDOW + 1), ("client", 2**31),
    ("server", -WINDOW - 1), ("server", WINDOW + 1), ("server", 2**31)])
def test_a_reset_out_of_window_is_dropped(conn, side, off):
    segment = getattr(conn, side)(sent=off, flags="R", ack=0, tsval=None, tsecr=None)
    assert conn.proxy.run([segment], side == "client").nothing == "rst_out_of_window"
    assert (conn.proxy.connection.state, conn.proxy.connection.rst_doubtful) == (
        "established", False)


def test_a_servers_reset_behind_the_clients_ack_is_for_the_client_to_judge(conn):
    """The ACK may have been forged; the server's own numbers may not: it stands behind us."""
    segment = conn.server(sent=-1, flags="R", ack=0, tsval=None, tsecr=None)
    assert conn.proxy.from_server(segment).to_client == conn.as_client_sees(segment)
    assert (conn.proxy.connection.state, conn.proxy.connection.rst_doubtful) == (
        "established", True)


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_reset_with_an_ack_from_elsewhere_is_dropped(conn, side):
    segment = getattr(conn, side)(got=2**24, flags="RA")
    assert conn.proxy.run([segment], side == "client").nothing == "rst_out_of_window"


def test_a_doubtful_reset_without_an_answer_shortens_the_wait(syn):
    proxy = Proxy(service(time_wait_ticks=5, closed_ticks=5))
    conn = Connection(proxy, syn).establish()
    proxy.from_client(conn.client(sent=1, flags="R", ack=0, tsval=None, tsecr=None))
    proxy.clock.leap(20)
    assert proxy.gauges.connections == 1
    proxy.clock.leap(8)
    assert proxy.gauges.connections == 0


def test_after_a_reset_the_servers_late_data_still_finds_the_client(conn):
    proxy = conn.proxy
    proxy.from_client(conn.client(flags="R", ack=0, tsval=None, tsecr=None))
    data = conn.server(payload=b"late")
    assert proxy.from_server(data).to_client == conn.as_client_sees(data)
    assert proxy.connection.state == "closed"


# The tombstone.

@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
@pytest.mark.parametrize("age", [0, 30, 59, 70, 100, COOKIE_LIFE_S - 1])
def test_an_ack_replayed_after_the_end_opens_nothing_while_its_cookie_lives(syn, state, age):
    proxy = Proxy()
    proxy.clock.leap(30)                # the first second of an epoch, for the longest life
    conn = Connection(proxy, syn).bring_to(state)
    proxy.clock.leap(age)
    for segment in (conn.ack, replace(conn.ack, seq=syn.seq)):
        out = proxy.from_client(segment)
        assert all("S" not in sent.flags for _, sent in out.sent)
    assert (proxy.counters.server_syn_sent, proxy.counters.cookie_valid) == (1, 1)
    for _ in range(2):                  # a replay may have been a sign of life in TIME-WAIT
        proxy.clock.leap(COOKIE_LIFE_S + 5)
    assert proxy.from_client(conn.ack).nothing == "cookie_invalid"
    assert proxy.gauges.connections == 0


def test_a_short_idle_timeout_does_not_bring_a_cookie_back_to_life(syn):
    proxy = Proxy(service(established_ticks=1))
    conn = Connection(proxy, syn).establish()
    proxy.clock.leap(12)
    assert proxy.connection.state == "closed"
    proxy.from_client(conn.ack)
    assert proxy.counters.server_syn_sent == 1


# Port reuse.

@pytest.mark.parametrize("state", STATES)
def test_a_syn_is_answered_by_a_cookie_whatever_its_ports_were_used_for(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    before, gauges = proxy.connection, proxy.gauges
    assert proxy.from_client(conn.syn).to_client == conn.synack
    assert conn.anew().synack.seq != conn.synack.seq
    assert (proxy.connection, proxy.gauges) == (before, gauges)


@pytest.mark.parametrize("state", ["established", "half_closed"])
def test_a_valid_cookie_replaces_an_open_connection_whose_server_is_reset_first(
        proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    proxy.from_client(conn.client(flags="PA", payload=b"x" * 99))
    proxy.from_server(conn.server(got=100))
    new = conn.anew()
    rst, server_syn = proxy.from_client(new.ack).two_to_server
    assert rst == Segment(
        syn.source, syn.destination, 40000, 80, "R", seq=wrap(syn.seq + 1 + 100), window=0,
        hop_limit=syn.hop_limit, flow_label=syn.flow_label,
        source_mac=syn.source_mac, destination_mac=syn.destination_mac,
    )
    assert (server_syn.flags, server_syn.seq) == ("S", 123_456)
    assert (proxy.counters.conn_reopened, proxy.counters.server_rst_sent) == (1, 1)
    assert (proxy.gauges.connections, proxy.gauges.half_open) == (1, 1)


@pytest.mark.parametrize("state", ["syn_sent", "time_wait", "closed", "refused"])
def test_a_valid_cookie_replaces_what_is_not_open_without_a_reset(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    new = conn.anew()
    server_syn = proxy.from_client(new.ack).to_server
    assert (server_syn.flags, server_syn.seq) == ("S", 123_456)
    assert (proxy.counters.conn_reopened, proxy.counters.server_rst_sent) == (1, 0)
    assert (proxy.gauges.connections, proxy.gauges.half_open) == (1, 1)


@pytest.mark.parametrize("state", STATES)
def test_a_reopened_connection_lives_by_its_own_numbers(proxy, syn, state):
    new = Connection(proxy, syn).bring_to(state).anew()
    *_, (_, new.server_syn) = proxy.from_client(new.ack).sent
    proxy.from_server(new.server_synack)
    assert proxy.connection.state == "established"
    ask, answer = new.client(payload=b"ask"), new.server(got=3, payload=b"answer")
    assert proxy.from_client(ask).to_server == new.as_server_sees(ask)
    assert proxy.from_server(answer).to_client == new.as_client_sees(answer)


def test_a_valid_cookie_replaces_an_old_connection_however_wide_its_windows_are():
    for n in range(40):
        proxy = Proxy(service(wscale=14))
        conn = Connection(proxy, replace(SYN_IPV4, wscale=14), wscale=14).establish(window=65535)
        proxy.from_server(conn.server(window=65535))
        new = conn.anew(isn=wrap(n * 107_374_182))
        _, server_syn = proxy.from_client(new.ack).two_to_server
        assert (server_syn.flags, server_syn.seq) == ("S", new.syn.seq)


def test_an_ack_of_very_much_at_once_is_still_the_connections(proxy, ts_syn):
    conn = Connection(proxy, ts_syn, wscale=14).establish(window=65535)
    far = conn.client(got=2**22)
    assert proxy.from_client(far).to_server == conn.as_server_sees(far)
    assert proxy.connection.client_ack == wrap(far.ack - conn.seq_offset)


def test_without_a_spare_frame_a_reopened_connection_loses_only_the_reset(proxy, syn):
    new = Connection(proxy, syn).bring_to("established").anew()
    proxy.box.spare_frames(0)
    assert proxy.from_client(new.ack).to_server.flags == "S"
    assert proxy.counters.server_rst_sent == 0


def test_a_segment_of_the_old_connection_ends_no_new_one(proxy, syn):
    conn = Connection(proxy, syn).bring_to("established")
    new = conn.anew()
    proxy.from_client(new.ack)
    assert proxy.from_client(conn.client(sent=50, flags="PA", payload=b"old")).nothing == (
        "cookie_invalid")
    late = conn.server()
    rst, again = proxy.from_server(late).two_to_server
    assert (rst.flags, rst.seq, again.seq) == ("R", late.ack, 123_456)
