"""Zero windows and their probes, both ways, also where scales differ.

RFC 9293 §3.8.6.1; RFC 7323 §2.2-2.3; design/protocol G8: a window is rescaled, and what was
open never becomes 0, nor what was 0 open.
"""

import pytest

from .connection import Connection, wrap
from .harness import Proxy, service

SIDES = ["client", "server"]
# (announced to the client, the server's own, None for none); the client's own is 7.
SCALES = [(7, 7), (7, 10), (10, 7), (0, 14), (14, 0), (7, 2), (3, None)]
PROBES = {"before": (-1, b""), "garbage": (-1, b"\0"), "a-byte": (0, b"p"), "empty": (0, b"")}


@pytest.fixture(params=SCALES, ids=str)
def scaled(request, ts_syn):
    announced, real = request.param
    return Connection(Proxy(service(wscale=announced)), ts_syn, wscale=real).establish()


def pass_on(conn, side, segment):
    out = conn.proxy.run([segment], side == "client")
    return out.to_server if side == "client" else out.to_client


@pytest.mark.parametrize("side", SIDES)
def test_a_window_of_zero_is_zero_to_the_other_end(scaled, side):
    assert pass_on(scaled, side, getattr(scaled, side)(window=0)).window == 0


@pytest.mark.parametrize("window", [1, 2, 127, 65535])
@pytest.mark.parametrize("side", SIDES)
def test_an_open_window_is_never_zero_to_the_other_end(scaled, side, window):
    assert pass_on(scaled, side, getattr(scaled, side)(window=window)).window > 0


@pytest.mark.parametrize("probe", PROBES)
@pytest.mark.parametrize("side", SIDES)
def test_a_probe_of_a_shut_window_is_answered_and_at_last_finds_it_open(scaled, side, probe):
    conn, other = scaled, "server" if side == "client" else "client"
    before, payload = PROBES[probe]
    pass_on(conn, other, getattr(conn, other)(window=0))
    for window in (0, 0, 300):
        asked = getattr(conn, side)(before, payload=payload)
        seen = pass_on(conn, side, asked)
        assert seen.payload == payload
        assert seen.seq == (asked.seq if side == "client" else wrap(asked.seq + conn.seq_offset))
        answer = pass_on(conn, other, getattr(conn, other)(window=window))
        assert (answer.window > 0) == (window > 0)
    assert (conn.proxy.connection.state, conn.proxy.drops) == ("established", {})


@pytest.mark.parametrize("side", SIDES)
def test_a_connection_lives_on_probes_alone(proxy, syn, side):
    conn = Connection(proxy, syn).establish()
    other = "server" if side == "client" else "client"
    for _ in range(5):
        proxy.clock.leap(7 * 3600)          # of 8 hours
        pass_on(conn, other, getattr(conn, other)(window=0))
        pass_on(conn, side, getattr(conn, side)(-1))
    assert proxy.connection.state == "established"


def test_a_servers_synack_with_a_shut_window_is_opened_later(proxy, syn):
    conn = Connection(proxy, syn, window=0).establish()
    assert conn.window_update.window == 0
    assert pass_on(conn, "client", conn.client(-1)).seq == syn.seq
    assert pass_on(conn, "server", conn.server(window=509)).window == 509
    ask = conn.client(flags="PA", payload=b"ask")
    assert pass_on(conn, "client", ask) == conn.as_server_sees(ask)


def test_a_client_whose_window_is_shut_when_it_proves_itself_is_so_to_the_server(proxy, syn):
    conn = Connection(proxy, syn).establish(window=0)
    assert (conn.server_syn.window, conn.server_ack.window) == (0, 0)
    assert pass_on(conn, "server", conn.server(-1)).seq == conn.synack.seq
    opened = conn.client(window=502)
    assert pass_on(conn, "client", opened).window == 502
    data = conn.server(payload=b"at last")
    assert pass_on(conn, "server", data) == conn.as_client_sees(data)


def test_a_window_update_that_was_lost_is_made_good_by_the_clients_probe(conn):
    """Its probe has the ISN as SEQ, and the server answers with its window."""
    probe = conn.client(-1)
    assert pass_on(conn, "client", probe) == conn.as_server_sees(probe)
    answer = conn.server(window=509)
    assert pass_on(conn, "server", answer) == conn.as_client_sees(answer)
    assert conn.proxy.counters.server_established == 1


@pytest.mark.parametrize("side", SIDES)
def test_a_window_that_shrinks_takes_nothing_back_of_what_is_on_its_way(conn, side):
    """RFC 9293 §3.8.6: data sent under the wider window may still come."""
    other = "server" if side == "client" else "client"
    pass_on(conn, other, getattr(conn, other)(window=500))
    pass_on(conn, other, getattr(conn, other)(window=1))
    late = getattr(conn, side)(60_000, flags="R", ack=0, tsval=None, tsecr=None)
    assert pass_on(conn, side, late).flags == "R"
    data = getattr(conn, side)(30_000, payload=b"late")
    assert pass_on(conn, side, data).payload == b"late"


def test_a_window_that_the_server_has_shut_since_is_not_said_again_as_open(conn):
    shut = conn.server(window=0)
    assert pass_on(conn, "server", shut).window == 0
    said = [segment.window for _, segment in conn.proxy.clock.advance(5).sent]
    assert not any(said)        # RFC 9293 §3.10.7.4: same SEQ and ACK, so the client would take it
