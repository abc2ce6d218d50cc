"""Servers with other options than were announced (G14): translated, learned, announced right."""

from ipaddress import ip_address
from itertools import pairwise

import pytest

from .connection import Connection, wrap
from .harness import EPOCH_S, Proxy, mapped, service
from .segments import replace

SUPPLY_BYTES = 12           # a timestamps option with its two NOPs
LEARNT_FROM = {
    "mss": {"mss": 1200},
    "wscale": {"wscale": 2},
    "no wscale": {"wscale": None},
    "no sack": {"sack_permitted": False},
}


@pytest.fixture
def proxy():
    return Proxy(service(auto=True))


def another(syn):
    """The next client."""
    return replace(syn, sport=syn.sport + 1)


def without_timestamps(conn):
    """The server has none: RST and a second SYN, then its SYN-ACK to that."""
    out = conn.proxy.from_server(replace(conn.server_synack, tsval=None, tsecr=None))
    rst, again = out.two_to_server
    conn.first_syn, conn.server_syn = conn.server_syn, again
    conn.window_update, conn.server_ack = conn.proxy.from_server(conn.server_synack).both
    return rst, again


@pytest.mark.parametrize("differs", LEARNT_FROM.values(), ids=LEARNT_FROM)
def test_g14_what_a_server_says_is_announced_to_the_next_client(proxy, ts_syn, differs):
    Connection(proxy, ts_syn, **differs).establish()
    synack = Connection(proxy, another(ts_syn)).ask().synack
    expected = {"mss": {4: 1460, 6: 1440}[ts_syn.family], "wscale": 7, "sack_permitted": True}
    expected |= differs
    assert {name: getattr(synack, name) for name in expected} == expected
    assert proxy.counters.options_learned == 1


def several(syn, count):
    """SYNs of a client each to as many servers."""
    return [replace(syn, sport=syn.sport + at, dport=80 + at) for at in range(count)]


def test_servers_beyond_the_limit_are_served_and_not_kept(ts_syn):
    proxy = Proxy(service(auto=True, ports=[(80, 99)]), servers=8)
    for syn in several(ts_syn, 10):
        Connection(proxy, syn, wscale=2).establish()
    assert (proxy.counters.options_learned, proxy.counters.options_not_kept) == (8, 2)
    assert len(proxy.box.learned()) == 8
    announced = [Connection(proxy, another(syn)).ask().synack.wscale
                 for syn in several(replace(ts_syn, sport=ts_syn.sport + 20), 10)]
    assert announced == [2] * 8 + [7] * 2


HALF_OF_THEM = {
    "ports of one address": lambda syn, at: replace(syn, dport=80 + at),
    "addresses of a network": lambda syn, at: replace(
        syn, destination=str(ip_address(syn.destination) + at)),
    "addresses far apart, on two ports": lambda syn, at: replace(
        syn, destination=str(ip_address(syn.destination) + at // 2 * 256), dport=80 + at % 2),
}


@pytest.mark.parametrize("server", HALF_OF_THEM.values(), ids=HALF_OF_THEM)
def test_each_server_is_kept_where_there_are_half_as_many_as_places(ts_syn, server):
    proxy = Proxy(service(auto=True, prefixes=("10.0.0.0/8", "fd00::/64"), ports=[(80, 65535)]),
                  servers=2048)
    for syn in (server(replace(ts_syn, sport=ts_syn.sport + at), at) for at in range(1024)):
        conn = Connection(proxy, syn, wscale=2).establish()
        proxy.from_client(conn.client(flags="R"))
    assert proxy.counters.options_not_kept == 0


@pytest.mark.parametrize("differs", LEARNT_FROM.values(), ids=LEARNT_FROM)
def test_what_is_set_is_announced_whatever_the_server_says(ts_syn, differs):
    proxy = Proxy(service(auto=False))
    before = Connection(proxy, ts_syn, **differs).establish().synack
    after = Connection(proxy, another(ts_syn)).ask().synack
    assert (after.mss, after.wscale) == (before.mss, 7)


@pytest.mark.parametrize("differs", LEARNT_FROM.values(), ids=LEARNT_FROM)
def test_a_change_is_followed_after_one_connection(proxy, ts_syn, differs):
    Connection(proxy, ts_syn, **differs).establish()
    Connection(proxy, another(ts_syn)).establish()
    synack = Connection(proxy, another(another(ts_syn))).ask().synack
    assert (synack.wscale, synack.sack_permitted, synack.mss) == (7, True, ts_syn.mss)


def test_what_is_known_of_a_server_says_when_it_said_so(proxy, ts_syn):
    Connection(proxy, ts_syn, mss=1300, wscale=3, sack_permitted=False).establish()
    assert vars(proxy.learned) == {
        "address": mapped(ts_syn.destination), "port": 80, "mss": 1300, "wscale": 3,
        "sack": False, "timestamps": True, "noted_s": proxy.clock.now_s,
    }


def test_a_server_without_timestamps_is_known_as_one_though_it_is_to_be_asked_again(proxy, ts_syn):
    conn = Connection(proxy, ts_syn).ask()
    conn.server_syn = proxy.from_client(conn.ack).to_server
    without_timestamps(conn)
    proxy.clock.leap(EPOCH_S + 1)
    assert not proxy.learned.timestamps


def test_a_server_that_says_the_same_again_has_said_so_now(proxy, ts_syn):
    Connection(proxy, ts_syn).establish()
    proxy.clock.leap(600)
    assert proxy.clock.now_s - proxy.learned.noted_s == 600
    Connection(proxy, another(ts_syn)).establish()
    assert proxy.learned.noted_s == proxy.clock.now_s
    assert proxy.counters.options_learned == 1


def test_a_server_that_does_not_answer_is_not_known(proxy, ts_syn):
    asked = Connection(proxy, ts_syn).ask()
    assert proxy.from_client(asked.ack).to_server.flags == "S"
    assert proxy.box.learned() == []


def test_servers_are_told_apart_by_address_and_port(ts_syn):
    hosts = {4: "10.0.0.0/24", 6: "fd00::/64"}[ts_syn.family]
    proxy = Proxy(service(auto=True, prefixes=(hosts,), ports=((80, 81),)))
    Connection(proxy, ts_syn, wscale=3).establish()
    other = {4: "10.0.0.3", 6: "fd00::3"}[ts_syn.family]
    assert Connection(proxy, replace(ts_syn, dport=81)).ask().synack.wscale == 7
    assert Connection(proxy, replace(ts_syn, destination=other)).ask().synack.wscale == 7
    assert Connection(proxy, replace(ts_syn, sport=9)).ask().synack.wscale == 3


def test_a_cookie_from_before_something_was_learned_stays_good(proxy, ts_syn):
    early = Connection(proxy, another(ts_syn), wscale=None, sack_permitted=False).ask()
    Connection(proxy, ts_syn, wscale=None, sack_permitted=False).establish()
    early.server_syn = proxy.from_client(early.ack).to_server
    update, _ = proxy.from_server(early.server_synack).both
    assert update.window == 65160 >> 7, "the client had been told 7"


def test_a_client_without_timestamps_learns_of_the_mss_alone(proxy, ts_syn):
    """There is no room in its cookie for what was announced; the rest is translated."""
    Connection(proxy, ts_syn, wscale=3, sack_permitted=False, mss=1300).establish()
    plain = replace(another(ts_syn), tsval=None, tsecr=None)
    conn = Connection(proxy, plain, wscale=3, sack_permitted=False).establish()
    assert (conn.synack.mss, conn.synack.wscale, conn.synack.sack_permitted) == (1300, 7, True)
    assert proxy.from_server(conn.server(window=64)).to_client.window == 64 << 3 >> 7


def test_a_client_that_offers_less_teaches_nothing_of_the_rest(proxy, ts_syn):
    Connection(proxy, replace(ts_syn, wscale=None, sack_permitted=False)).establish()
    synack = Connection(proxy, another(ts_syn)).ask().synack
    assert (synack.wscale, synack.sack_permitted) == (7, True)


class TestSack:
    """One end takes SACK for agreed, the other not: no block crosses."""

    BLOCKS = ((100, 200), (300, 400))

    def test_a_clients_blocks_are_stripped_for_a_server_without(self, proxy, syn):
        conn = Connection(proxy, syn, sack_permitted=False).establish()
        assert conn.synack.sack_permitted
        out = proxy.from_client(conn.client(sack=self.BLOCKS)).to_server
        assert out == conn.as_server_sees(conn.client())
        assert proxy.counters.options_differ == 1

    def test_a_servers_blocks_are_stripped_for_a_client_that_was_told_none(self, proxy, ts_syn):
        Connection(proxy, ts_syn, sack_permitted=False).establish()
        conn = Connection(proxy, another(ts_syn)).establish()
        assert not conn.synack.sack_permitted
        assert conn.server_syn.sack_permitted, "else its change would never be seen"
        out = proxy.from_server(conn.server(sack=self.BLOCKS)).to_client
        assert out == conn.as_client_sees(conn.server())


class TestWscale:
    def test_a_client_that_was_told_none_does_not_scale(self, proxy, ts_syn):
        Connection(proxy, ts_syn, wscale=None).establish()
        conn = Connection(proxy, another(ts_syn)).establish(window=8192)
        assert conn.synack.wscale is None
        assert (conn.server_syn.wscale, conn.server_syn.window) == (7, 8192)
        assert proxy.from_client(conn.client(window=8192)).to_server.window == 8192 >> 7
        assert proxy.from_server(conn.server(window=64)).to_client.window == 64 << 7

    def test_a_narrow_window_that_is_not_scaled_is_no_zero_to_the_server(self, proxy, ts_syn):
        Connection(proxy, ts_syn, wscale=None).establish()
        conn = Connection(proxy, another(ts_syn)).establish(window=100)
        assert conn.server_ack.window == 1

    @pytest.mark.parametrize("scale", [0, 3, 14])
    def test_what_was_announced_is_what_the_client_is_given(self, proxy, ts_syn, scale):
        conn = Connection(proxy, ts_syn, wscale=scale).establish()
        assert proxy.from_server(conn.server(window=100)).to_client.window == (
            max(100 << scale >> 7, 1))
        conn = Connection(proxy, another(ts_syn), wscale=scale).establish()
        assert proxy.from_server(conn.server(window=100)).to_client.window == 100
        assert proxy.counters.options_differ == 1


class TestTimestamps:
    """The server has none, its client was told of some: it gets them from us."""

    @pytest.fixture
    def conn(self, proxy, ts_syn):
        return Connection(proxy, ts_syn).prove()

    def test_the_handshake_begins_again_with_room_for_them(self, proxy, conn):
        rst, again = without_timestamps(conn)
        assert (rst.flags, rst.seq) == ("R", wrap(conn.syn.seq + 1))
        assert (again.tsval, again.mss) == (None, conn.syn.mss - SUPPLY_BYTES)
        assert (again.seq, again.wscale, again.sack_permitted) == (conn.syn.seq, 7, True)
        assert conn.server_ack.tsval is None
        assert conn.window_update.tsval == conn.synack.tsval
        assert proxy.counters.options_differ == 1

    @pytest.mark.parametrize("mss", [1, SUPPLY_BYTES, SUPPLY_BYTES + 1])
    def test_an_mss_without_room_for_them_is_not_wrapped(self, proxy, ts_syn, mss):
        _, again = without_timestamps(Connection(proxy, replace(ts_syn, mss=mss)).prove())
        assert 1 <= again.mss <= mss

    def test_the_server_gets_none(self, proxy, conn):
        without_timestamps(conn)
        segment = conn.client(payload=b"x", sack=((5, 9),))
        shift = conn.seq_offset
        assert proxy.from_client(segment).to_server == replace(
            segment, ack=wrap(segment.ack - shift), tsval=None, tsecr=None,
            sack=((wrap(5 - shift), wrap(9 - shift)),))

    def test_the_client_gets_them_with_a_clock_that_runs_on_and_its_own_echoed(self, proxy, conn):
        without_timestamps(conn)
        tsvals = [conn.synack.tsval]
        for n in range(3):
            proxy.clock.advance(1)
            proxy.from_client(conn.client(sent=n, payload=b"x", tsval=wrap(conn.ack.tsval + n)))
            said = conn.server(got=n, payload=b"y" * 1400, tsval=None, tsecr=None)
            out = proxy.from_server(said).to_client
            assert out == replace(said, seq=wrap(said.seq + conn.seq_offset), tsval=out.tsval,
                                  tsecr=wrap(conn.ack.tsval + n))
            tsvals.append(out.tsval)
        steps = [wrap(later - former) for former, later in pairwise(tsvals)]
        assert steps == [1001, 1000, 1000]

    def test_a_segment_without_room_goes_without(self, proxy, conn):
        without_timestamps(conn)
        said = conn.server(payload=b"y" * conn.syn.mss, tsval=None, tsecr=None)
        assert proxy.from_server(said).to_client == replace(
            said, seq=wrap(said.seq + conn.seq_offset))

    def test_a_reset_goes_without(self, proxy, conn):
        without_timestamps(conn)
        said = conn.server(flags="R", ack=0, tsval=None, tsecr=None)
        assert proxy.from_server(said).to_client.tsval is None

    def test_early_data_waits_through_both_handshakes(self, ts_syn):
        proxy = Proxy(service(auto=True, early_data=True))
        conn = Connection(proxy, ts_syn).prove()
        proxy.from_client(conn.client(payload=b"early"))
        without_timestamps(conn)
        (_, data), = proxy.clock.advance(0.001).sent
        assert (data.payload, data.tsval) == (b"early", None)

    def test_the_next_client_is_told_of_none(self, proxy, conn):
        without_timestamps(conn)
        synack = Connection(proxy, another(conn.syn)).ask().synack
        assert (synack.tsval, synack.wscale, synack.sack_permitted) == (None, 7, True)

    def test_once_an_epoch_the_server_is_asked_again(self, proxy, conn):
        without_timestamps(conn)
        proxy.clock.leap(EPOCH_S)
        again = Connection(proxy, another(conn.syn)).establish()
        assert again.synack.tsval is not None
        assert Connection(proxy, replace(conn.syn, sport=9)).ask().synack.tsval is not None

    def test_a_lost_reset_still_ends_in_a_connection(self, proxy, conn):
        """The server takes the second SYN for the first one, and says its SYN-ACK again."""
        said = replace(conn.server_synack, tsval=None, tsecr=None)
        proxy.from_server(said)
        update, _ = proxy.from_server(said).both
        assert update.flags == "A"
        assert proxy.connection.state == "established"

    @pytest.mark.parametrize("end", ["expired", "reopened"])
    def test_what_is_supplied_ends_with_its_connection(self, proxy, conn, end):
        without_timestamps(conn)
        assert proxy.gauges.supplies == 1
        if end == "expired":
            proxy.from_server(conn.server(flags="R", ack=0, tsval=None, tsecr=None))
            proxy.clock.leap(200)
        else:
            proxy.from_client(conn.anew().ack)
        assert proxy.gauges.supplies == 0

    def test_where_no_more_can_be_supplied_a_connection_goes_without(self, ts_syn):
        proxy = Proxy(service(auto=True), supplies=0)
        conn = Connection(proxy, ts_syn).prove()
        without_timestamps(conn)
        said = conn.server(payload=b"x", tsval=None, tsecr=None)
        assert proxy.from_server(said).to_client == replace(
            said, seq=wrap(said.seq + conn.seq_offset))
