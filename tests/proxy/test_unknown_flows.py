"""Connections that are older than the proxy (G16), or that opened while it let pass."""

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import Proxy, service
from .segments import Segment, replace

OLD = {
    "ipv4": Segment("198.51.100.9", "10.0.0.2", 50000, 80, "A", seq=2**32 - 2, ack=77,
                    tsval=5, tsecr=6),
    "ipv6": Segment("2001:db8::9", "fd00::2", 50000, 80, "A", seq=2**32 - 2, ack=77),
}


@pytest.fixture(params=OLD.values(), ids=OLD)
def old(request):
    """A client's segment of a connection that nobody here has seen begin."""
    return request.param


@pytest.fixture
def proxy():
    return Proxy(service(unknown_flow="forward"))


def reply(segment, **differs):
    """What its server says, in order."""
    return replace(
        segment, source=segment.destination, destination=segment.source, sport=segment.dport,
        dport=segment.sport, seq=segment.ack, ack=segment.seq, tsval=segment.tsecr,
        tsecr=segment.tsval, source_mac=segment.destination_mac,
        destination_mac=segment.source_mac, **differs)


@pytest.mark.parametrize("flags", ["A", "PA", "FA", "R", "RA"])
def test_g16_a_clients_segments_pass_untouched(proxy, old, flags):
    segment = replace(old, flags=flags, payload=b"x" if flags == "PA" else b"")
    assert proxy.from_client(segment).to_server == segment
    assert proxy.counters.unknown_forwarded == 1
    assert proxy.gauges.connections == 0, "one segment proves nothing"


@pytest.mark.parametrize("flags", ["A", "PA", "FA"])
def test_g16_a_servers_segments_pass_untouched_and_the_connection_is_known(proxy, old, flags):
    segment = replace(reply(old), flags=flags)
    assert proxy.from_server(segment).to_client == segment
    assert proxy.counters.conn_adopted == 1
    assert proxy.connection.passes
    assert proxy.connection.server_fin == ("F" in flags)


def test_a_servers_reset_passes_and_nothing_is_kept(proxy, old):
    segment = replace(reply(old), flags="R")
    assert proxy.from_server(segment).to_client == segment
    assert proxy.gauges.connections == 0


@pytest.mark.parametrize("answered", [True, False])
def test_a_connection_is_kept_for_long_only_where_its_client_answers(proxy, old, answered):
    """A server may go on saying its FIN to a client that is gone."""
    proxy.from_server(reply(old, flags="FA"))
    if answered:
        proxy.from_client(old)
    proxy.from_server(reply(old, flags="FA"))
    proxy.clock.leap(100)
    assert proxy.gauges.connections == answered


def test_an_adopted_connection_lives_and_ends_as_any_other(proxy, old):
    proxy.from_server(reply(old))
    for n in range(5):
        segment = replace(old, payload=b"x" * n)
        assert proxy.from_client(segment).to_server == segment
        assert proxy.from_server(reply(segment)).to_client == reply(segment)
    proxy.from_client(replace(old, flags="FA"))
    proxy.from_server(reply(old, flags="FA"))
    assert proxy.connection.state == "time_wait"
    proxy.clock.leap(400)
    assert proxy.gauges.connections == 0


def test_a_flood_of_acks_passes_at_the_bounded_rate(old):
    proxy = Proxy(service(unknown_flow="forward", unknown_rate=100))
    passed = 0
    for _tenth in range(20):
        for port in range(1, 51):
            passed += len(proxy.from_client(replace(old, sport=port)).sent)
        proxy.clock.advance(0.1)
    assert passed == proxy.counters.unknown_forwarded
    assert 200 <= passed <= 320, "a second's worth at once, then 100 each second"
    assert proxy.counters.unknown_rate == 1000 - passed
    assert proxy.gauges.connections == 0


@pytest.mark.parametrize("rate", [3, 700, 1999, 3334])
def test_all_that_the_rate_allows_passes_however_often_it_is_asked(old, rate):
    proxy = Proxy(service(unknown_flow="forward", unknown_rate=rate))
    milliseconds = 2000
    frames = [replace(old, sport=port).frame() for port in range(1, 9)]
    for _ in range(milliseconds):
        proxy.from_client(*frames)
        proxy.clock.advance(0.001)
    assert proxy.counters.unknown_forwarded == pytest.approx(
        rate * (1 + (milliseconds - 1) / 1000), abs=1), "a second's worth at once, then as it comes"


def test_an_adopted_connection_is_not_slowed_by_a_flood(old):
    proxy = Proxy(service(unknown_flow="forward", unknown_rate=1))
    proxy.from_server(reply(old))
    for port in range(1, 20):
        proxy.from_client(replace(old, sport=port))
    assert proxy.from_client(old).to_server == old


def test_drop_drops_both_ways(old):
    proxy = Proxy(service(unknown_flow="drop"))
    assert proxy.from_client(old).nothing == "cookie_invalid"
    assert proxy.from_client(replace(old, flags="FA")).nothing == "no_connection"
    assert proxy.from_server(reply(old)).nothing == "no_connection"


def test_reset_answers_both_ways(old):
    proxy = Proxy(service(unknown_flow="reset"))
    assert proxy.from_client(old).nothing == "rst_premature", "see test_overtaken.py"
    proxy.clock.advance(3)
    rst = proxy.from_client(old).to_client
    assert (rst.flags, rst.seq, rst.source, rst.sport) == ("R", old.ack, old.destination, 80)
    rst = proxy.from_server(reply(old)).to_server
    assert (rst.flags, rst.seq, rst.source, rst.sport) == ("R", old.seq, old.source, 50000)
    assert proxy.counters.unknown_reset == 2


@pytest.mark.parametrize("policy", ["forward", "reset"])
@pytest.mark.parametrize("flags", ["R", "RA"])
def test_no_reset_is_answered(old, policy, flags):
    proxy = Proxy(service(unknown_flow="reset"))
    assert proxy.from_client(replace(old, flags=flags)).nothing == "no_connection"
    assert proxy.from_server(replace(reply(old), flags=flags)).nothing == "no_connection"


def test_resets_keep_to_the_rate(old):
    proxy = Proxy(service(unknown_flow="reset", unknown_rate=1))
    proxy.from_client(old)
    proxy.clock.advance(3)
    assert proxy.from_client(old).to_client.flags == "R"
    assert proxy.from_client(old).nothing == "unknown_rate"


@pytest.mark.parametrize("flags", ["", "S", "SF", "SR", "SA", "FR", "F"])
def test_flags_that_no_connection_has_do_not_pass(proxy, old, flags):
    if flags == "S":
        assert proxy.from_client(replace(old, flags=flags)).to_client.flags == "SA"
    else:
        assert proxy.from_client(replace(old, flags=flags)).nothing == "flags_invalid"


def test_where_the_table_is_full_an_old_connection_passes_all_the_same(old):
    proxy = Proxy(service(unknown_flow="forward"), connections=1)
    Connection(proxy, SYN_IPV4).establish()
    assert proxy.from_server(reply(old)).to_client == reply(old)
    assert proxy.from_client(old).to_server == old
    assert proxy.counters.conn_adopted == 0


def test_a_synack_of_the_server_that_answers_nothing_of_ours_does_not_pass(proxy, old):
    assert proxy.from_server(replace(reply(old), flags="SA")).nothing == "synack_unexpected"


@pytest.mark.parametrize("syn", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_a_client_that_uses_the_ports_of_an_old_connection_anew_is_proxied(proxy, syn):
    ack = replace(syn, flags="A", seq=4_000_000_000, ack=3_000_000_000, mss=None, wscale=None,
                  sack_permitted=False)
    proxy.from_server(reply(ack))
    conn = Connection(proxy, syn).ask()
    rst, server_syn = proxy.from_client(conn.ack).two_to_server
    assert (rst.flags, rst.seq) == ("R", ack.seq)
    assert (server_syn.flags, server_syn.seq) == ("S", syn.seq)
    assert proxy.counters.conn_reopened == 1


def test_a_valid_cookie_is_none_of_them(proxy, syn):
    assert Connection(proxy, syn).establish().window_update.flags == "A"
    assert proxy.counters.unknown_forwarded == 0


def test_a_flood_on_one_service_takes_nothing_of_anothers_rate(old):
    mail = service("mail", ports=((25, 25),), row=2, unknown_flow="forward", unknown_rate=1)
    proxy = Proxy(service(unknown_flow="forward", unknown_rate=1), mail)
    for port in range(1, 30):
        proxy.from_client(replace(old, sport=port))
    assert proxy.drops == {"unknown_rate": 28}
    other = replace(old, dport=25)
    assert proxy.from_client(other).to_server == other


def test_while_nothing_is_under_attack_no_rate_bounds_what_is_older(old):
    proxy = Proxy(service(activation="auto", unknown_flow="drop", unknown_rate=1))
    for port in range(1, 30):
        segment = replace(old, sport=port)
        assert proxy.from_client(segment).to_server == segment


@pytest.mark.parametrize("tags", [((0x8100, 42),), ((0x88A8, 7), (0x8100, 4094))],
                         ids=["vlan", "qinq"])
def test_an_older_connection_under_tags_passes_untouched(proxy, old, tags):
    segment = replace(old, tags=tags, payload=b"x")
    assert proxy.from_client(segment).to_server == segment
    assert proxy.from_server(reply(segment)).to_client == reply(segment)
    assert proxy.from_client(segment).to_server == segment
