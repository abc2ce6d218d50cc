"""Client segments that come before the ACK which proves their handshake.

Its server knows of no such connection and resets it, with the very SEQ that the client expects.
"""

import pytest

from .connection import Connection
from .harness import Proxy, service
from .segments import replace

WAIT_S = 3


def server_rst(segment):
    """What a server says to a segment of no connection (RFC 9293 §3.10.7.1)."""
    return replace(
        segment, flags="R", seq=segment.ack, ack=0, payload=b"", tsval=None, tsecr=None,
        source=segment.destination, destination=segment.source, sport=segment.dport,
        dport=segment.sport, source_mac=segment.destination_mac,
        destination_mac=segment.source_mac)


@pytest.fixture
def proxy():
    return Proxy(service(unknown_flow="forward"))


@pytest.fixture
def conn(proxy, syn):
    """A client that has been answered with a cookie, and has not proven it yet."""
    return Connection(proxy, syn).ask()


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "FPA"])
def test_the_servers_reset_of_it_does_not_reach_the_client(proxy, conn, flags):
    later = conn.client(sent=5, flags=flags, payload=b"later")
    assert proxy.from_client(later).to_server == later
    assert proxy.from_server(server_rst(later)).nothing == "rst_premature"


def test_the_handshake_goes_on(proxy, conn):
    later = conn.client(sent=5, payload=b"later")
    proxy.from_client(later)
    proxy.from_server(server_rst(later))
    conn.establish()
    assert proxy.from_client(later).to_server == conn.as_server_sees(later)
    assert proxy.counters.cookie_valid == 1


def test_a_reset_that_comes_while_the_server_is_asked_ends_nothing(proxy, conn):
    later = conn.client(sent=5, payload=b"later")
    proxy.from_client(later)
    conn.server_syn = proxy.from_client(conn.ack).to_server
    assert proxy.from_server(server_rst(later)).nothing == "rst_out_of_window"
    assert proxy.from_server(conn.server_synack).both


@pytest.mark.parametrize(("after_s", "passes"), [(WAIT_S - 0.1, False), (WAIT_S, True)])
def test_who_asks_again_for_so_long_is_reset(proxy, conn, after_s, passes):
    later = conn.client(sent=5, payload=b"later")
    proxy.from_client(later)
    proxy.clock.advance(after_s)
    proxy.from_client(later)
    assert bool(proxy.from_server(server_rst(later)).sent) == passes


def test_what_is_asked_anew_minutes_later_waits_anew(proxy, conn):
    later = conn.client(sent=5, payload=b"later")
    proxy.from_client(later)
    proxy.clock.advance(121)
    proxy.from_client(later)
    assert proxy.from_server(server_rst(later)).nothing == "rst_premature"


@pytest.mark.parametrize("differs", [
    {"seq": 1}, {"flags": "RA"}, {"dport": 9}, {"sport": 443},
], ids=["seq", "flags", "client", "service"])
def test_no_other_reset_is_kept_back(conn, differs):
    proxy = conn.proxy
    proxy.publish(service(unknown_flow="forward", ports=((80, 80), (443, 443))))
    later = conn.client(sent=5, payload=b"later")
    proxy.from_client(later)
    rst = replace(server_rst(later), **differs)
    assert proxy.from_server(rst).to_client == rst


def test_a_client_that_resets_is_noted_by_nothing(proxy, conn):
    rst = conn.client(sent=5, flags="RA")
    proxy.from_client(rst)
    assert proxy.from_server(server_rst(rst)).to_client == server_rst(rst)


def test_a_reset_passes_where_no_cookie_can_be_under_way(syn):
    proxy = Proxy(service(activation="off", unknown_flow="forward"))
    old = replace(syn, flags="PA", ack=77, payload=b"old", mss=None, wscale=None,
                  sack_permitted=False)
    proxy.from_client(old)
    assert proxy.from_server(server_rst(old)).to_client == server_rst(old)


@pytest.mark.parametrize("after_s", [0, WAIT_S])
def test_neither_do_we_reset_it_at_once_where_that_is_the_policy(syn, after_s):
    conn = Connection(Proxy(service(unknown_flow="reset")), syn).ask()
    later = conn.client(sent=5, payload=b"later")
    assert conn.proxy.from_client(later).nothing == "rst_premature"
    conn.proxy.clock.advance(after_s)
    again = conn.proxy.from_client(later)
    if after_s:
        assert again.to_client.flags == "R"
    else:
        assert again.nothing == "rst_premature"
        conn.establish()
