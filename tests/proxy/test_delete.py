"""An operator ends a connection: both ends hear it, each in its own numbers."""

import pytest

from .connection import Connection, wrap
from .segments import replace


@pytest.mark.parametrize("moved", [0, 5000])
def test_both_ends_are_reset_with_what_they_expect_next(conn, moved):
    proxy, syn = conn.proxy, conn.syn
    proxy.from_client(conn.client(flags="PA", payload=b"c" * min(moved, 1400)))
    proxy.from_server(conn.server(got=moved, flags="PA", payload=b"s" * min(moved, 1400)))
    proxy.from_client(conn.client(moved, moved))
    was, to = conn.delete()
    assert was["state"] == "established"
    to_client, to_server = to[False], to[True]
    assert (to_client.flags, to_client.seq) == ("R", conn.client(got=moved).ack)
    assert (to_server.flags, to_server.seq) == ("R", wrap(syn.seq + 1 + moved))
    assert (to_client.source, to_client.sport, to_client.destination, to_client.dport) == (
        syn.destination, syn.dport, syn.source, syn.sport)
    assert (to_client.source_mac, to_client.destination_mac) == (
        syn.destination_mac, syn.source_mac)
    assert (to_server.source_mac, to_server.destination_mac) == (
        syn.source_mac, syn.destination_mac)
    assert proxy.connection.state == "deleted"
    assert (proxy.counters.conn_deleted, proxy.counters.conn_closed) == (1, 1)


def test_vlan_tags_are_kept(proxy):
    conn = Connection(proxy, replace(Connection(proxy).syn, tags=((0x8100, 5),))).establish()
    _, to = conn.delete()
    assert [to[side].tags for side in (False, True)] == [conn.syn.tags] * 2


def test_whoever_goes_on_is_reset_by_what_it_acknowledges(conn):
    conn.delete()
    proxy = conn.proxy
    said = conn.client(got=700, flags="PA", payload=b"x")
    assert proxy.from_client(said).to_client.seq == said.ack
    said = conn.server(sent=100, got=900)
    rst = proxy.from_server(said).to_server
    assert (rst.flags, rst.seq) == ("R", said.ack)
    for side, rst in (("client", conn.client(flags="R")), ("server", conn.server(flags="R"))):
        assert proxy.run([rst], side == "client").nothing == "no_connection"


def test_the_same_ports_may_open_another_one(conn):
    conn.delete()
    proxy = conn.proxy
    anew = conn.anew()
    assert proxy.from_client(anew.ack).to_server.flags == "S"
    assert proxy.connection.state == "syn_sent"


def test_its_own_cookie_opens_nothing(conn):
    conn.delete()
    assert conn.proxy.from_client(conn.ack).to_client.flags == "R"
    assert conn.proxy.connection.state == "deleted"


def test_one_whose_server_is_awaited(proxy, syn):
    conn = Connection(proxy, syn).prove()
    was, to = conn.delete()
    assert was["state"] == "syn_sent"
    assert to[False].seq == wrap(conn.synack.seq + 1)
    assert to[True].seq == wrap(syn.seq + 1)
    assert proxy.connection.state == "refused"
    assert proxy.gauges.half_open == 0
    assert proxy.clock.advance(seconds=10).sent == []


@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
def test_what_has_ended_is_not_found(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    assert conn.delete() == (None, {})
    assert proxy.counters.conn_deleted == 0


def test_what_never_was_is_not_found(proxy, syn):
    assert Connection(proxy, syn).delete() == (None, {})


def test_it_is_forgotten_after_the_closed_timeout(conn):
    conn.delete()
    conn.proxy.clock.leap(seconds=119)
    assert conn.proxy.connection.state == "deleted"
    conn.proxy.clock.leap(seconds=10)
    assert conn.proxy.gauges.connections == 0


def test_without_a_spare_frame_each_end_hears_it_at_its_next_segment(conn):
    conn.proxy.box.spare_frames(0)
    _, to = conn.delete()
    conn.proxy.box.spare_frames(64)
    assert to == {}
    assert conn.proxy.from_client(conn.client()).to_client.flags == "R"
    assert conn.proxy.from_server(conn.server()).to_server.flags == "R"


def test_a_look_from_outside_sees_the_same(conn):
    assert conn.proxy.box.look() == conn.proxy.box.connections()


def test_more_links_than_there_is_room_for_lose_only_haste(proxy):
    syn = Connection(proxy).syn
    conns = [
        Connection(proxy, replace(syn, sport=20000 + at, source_mac=f"02:00:00:00:{at >> 8:02x}:"
                                  f"{at & 255:02x}")).establish()
        for at in range(1024)
    ]
    told = [len(conn.delete()[1]) for conn in conns]
    assert set(told) <= {0, 2}
    assert told.count(2) > 700
    silent = conns[told.index(0)] if 0 in told else conns[0]
    assert proxy.from_client(silent.client()).to_client.flags == "R"
