"""When proven clients' first SYNs go to their servers: proxy/pacing, to the millisecond."""

import random

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import Proxy, service
from .icmp import error_about
from .segments import replace

PLACES = 1023               # of servers whose SYNs are paced
LATE_MS = 32                # two ticks of the wheel that wakes for SYNs to be said again


def client(n: int, syn=SYN_IPV4):
    return replace(syn, sport=1024 + n)


def paced(rate: int = 10, burst: int = 1, wait_ms: int = 5000, **others):
    return service(pacing_rate=rate, pacing_burst=burst, pacing_wait_ms=wait_ms, **others)


def come(proxy: Proxy, count: int, first: int = 0, syn=SYN_IPV4) -> list[str]:
    """What becomes of so many clients' third segments."""
    return [proxy.from_client(Connection(proxy, client(n, syn)).ask().ack).verdict
            for n in range(first, first + count)]


def heard(proxy: Proxy, ms: int) -> list[tuple[int, int]]:
    """The SYNs of the next so many milliseconds: (when, whose)."""
    start_ms, syns = proxy.clock.now_ms, []
    while proxy.clock.now_ms < start_ms + ms:
        for to_server, segment in proxy.clock.advance(0.001).sent:
            assert (to_server, segment.flags) == (True, "S")
            syns.append((proxy.clock.now_ms - start_ms, segment.sport - 1024))
    return syns


def waiting(proxy: Proxy, n: int = 1, syn=SYN_IPV4) -> Connection:
    """One that waits, behind another one whose SYN has been said."""
    assert come(proxy, 1, syn=syn) == ["to_server"]
    conn = Connection(proxy, client(n, syn)).ask()
    assert proxy.from_client(conn.ack).nothing == "absorb"
    return conn


def test_without_pacing_syns_go_as_they_come(proxy):
    assert come(proxy, 200) == ["to_server"] * 200
    assert (proxy.counters.server_syn_paced, proxy.gauges.paced) == (0, 0)


def test_those_beyond_the_burst_go_each_at_its_turn_in_the_order_in_which_they_came():
    proxy = Proxy(paced(rate=10, burst=3))
    assert come(proxy, 8) == ["to_server"] * 3 + ["absorb"] * 5
    assert (proxy.counters.server_syn_sent, proxy.counters.cookie_valid) == (3, 8)
    assert heard(proxy, 900) == [(100, 3), (200, 4), (300, 5), (400, 6), (500, 7)]
    assert (proxy.counters.server_syn_sent, proxy.counters.server_syn_paced) == (8, 5)
    assert (proxy.gauges.paced, proxy.gauges.half_open) == (0, 8)


def test_after_a_time_with_fewer_the_burst_is_there_again():
    proxy = Proxy(paced(rate=10, burst=3))
    come(proxy, 3)
    heard(proxy, 250)
    assert come(proxy, 3, first=10) == ["to_server"] * 2 + ["absorb"]
    assert heard(proxy, 500) == [(50, 12)]
    assert come(proxy, 4, first=20) == ["to_server"] * 3 + ["absorb"]


def test_who_comes_while_others_wait_comes_behind_them():
    proxy = Proxy(paced(rate=10))
    come(proxy, 3)
    assert heard(proxy, 99) == []
    proxy.box.set_clock(proxy.clock.now_ms + 1)         # a turn is free, and somebody's
    assert come(proxy, 1, first=9) == ["absorb"]
    assert heard(proxy, 500) == [(1, 1), (101, 2), (201, 9)]


@pytest.mark.parametrize(("rate", "burst"), [(7, 1), (50, 1), (50, 10), (900, 3), (5000, 1)])
def test_in_no_time_a_server_gets_more_than_its_rate_and_its_burst(rate, burst):
    proxy = Proxy(paced(rate, burst, syn_timeout_ms=4000), half_open=4096, connections=4096)
    chance, times, n = random.Random(rate), [], 0
    for now_ms in range(2000):
        for _ in range(chance.choice((0, 0, 0, 0, 3))):
            n += 1
            if come(proxy, 1, first=n) == ["to_server"]:
                times.append(now_ms)
        times += [now_ms + ms for ms, _ in heard(proxy, 1)]
    for first, since in enumerate(times):
        for last in range(first + burst, len(times)):
            assert last - first + 1 <= burst + rate * (times[last] - since) / 1000
    assert len(times) >= min(rate * 1.9, n * 0.99)


def test_each_server_has_a_rate_of_its_own():
    proxy = Proxy(paced(prefixes=("10.0.0.0/24", "fd00::/64"), ports=((80, 81),)))
    servers = [SYN_IPV4, replace(SYN_IPV4, destination="10.0.0.3"), replace(SYN_IPV4, dport=81),
               SYN_IPV6, replace(SYN_IPV6, destination="fd00::3")]
    for at, syn in enumerate(servers):
        assert come(proxy, 3, 10 * at, syn) == ["to_server", "absorb", "absorb"]
    syns = heard(proxy, 300)
    assert sorted(syns) == sorted(
        (100 * turn, 10 * at + turn) for turn in (1, 2) for at in range(len(servers)))


def test_a_service_that_paces_nothing_is_none_of_it():
    proxy = Proxy(paced(), service("mail", ports=((25, 25),), row=2))
    assert come(proxy, 3) == ["to_server", "absorb", "absorb"]
    assert come(proxy, 9, syn=replace(SYN_IPV4, dport=25)) == ["to_server"] * 9
    assert proxy.box.counters(2)["server_syn_paced"] == 0


def test_what_is_said_is_what_would_have_been_said_at_once(syn):
    for tags in ((), ((0x8100, 7),), ((0x88A8, 7), (0x8100, 9))):
        tagged = replace(syn, tags=tags)
        at_once = Connection(Proxy(), client(1, tagged)).prove().server_syn
        proxy = Proxy(paced())
        conn = waiting(proxy, 1, tagged)
        conn.server_syn = proxy.clock.advance(0.1).to_server
        assert conn.server_syn == at_once
        assert len(proxy.from_server(conn.server_synack).both) == 2
        data = conn.client(payload=b"request")
        assert proxy.from_client(data).to_server == conn.as_server_sees(data)


def test_what_its_client_says_meanwhile_is_delivered_behind_the_handshake():
    proxy = Proxy(paced(early_data=True))
    come(proxy, 1)
    conn = Connection(proxy, client(1)).ask()
    assert proxy.from_client(conn.client(payload=b"GET ")).nothing == "absorb"
    assert proxy.from_client(conn.client(4, payload=b"/")).nothing == "absorb"
    assert proxy.from_client(conn.client(5, flags="FA")).nothing == "absorb"
    assert proxy.from_client(conn.ack).nothing == "absorb"
    conn.server_syn = proxy.clock.advance(0.1).to_server
    assert conn.server_syn.payload == b""
    proxy.from_server(conn.server_synack)
    sent = [segment for _, segment in proxy.clock.advance(0.001).sent]
    assert [segment.payload for segment in sent] == [b"GET ", b"/", b""]
    assert "F" in sent[-1].flags


def test_without_early_data_what_comes_meanwhile_is_not_kept():
    proxy = Proxy(paced(early_data=False))
    conn = waiting(proxy)
    assert conn.synack.window == 0
    assert proxy.from_client(conn.client(payload=b"x")).nothing == "server_not_ready"
    assert proxy.clock.advance(0.1).to_server.flags == "S"


def test_a_syn_that_is_said_again_waits_for_nothing_and_keeps_nobody_waiting():
    proxy = Proxy(paced(rate=1, syn_retries=2, syn_timeout_ms=1000))
    come(proxy, 2)
    syns = heard(proxy, 4200)
    of = [[ms for ms, who in syns if who == n] for n in (0, 1)]
    assert of[1][0] == 1000
    assert of[0] == pytest.approx([1000 + LATE_MS, 3000 + 2 * LATE_MS], abs=LATE_MS)
    assert of[1][1:] == pytest.approx([2000 + LATE_MS, 4000 + 2 * LATE_MS], abs=LATE_MS)
    assert proxy.counters.server_syn_retrans == 4
    assert come(proxy, 1, first=5) == ["to_server"]


def test_who_would_wait_for_too_long_is_dropped_by_name_and_comes_again():
    proxy = Proxy(paced(rate=10, wait_ms=500))
    assert come(proxy, 6) == ["to_server"] + ["absorb"] * 5
    conn = Connection(proxy, client(9)).ask()
    assert proxy.from_client(conn.ack).nothing == "pacing_full"
    assert proxy.drops == {"pacing_full": 1}
    assert heard(proxy, 100) == [(100, 1)]
    assert proxy.from_client(conn.ack).nothing == "absorb"
    assert heard(proxy, 500) == [(100, 2), (200, 3), (300, 4), (400, 5), (500, 9)]
    assert proxy.counters.pacing_timeout == 0


def test_who_is_dropped_has_spent_nothing_of_a_bound():
    proxy = Proxy(paced(rate=1, wait_ms=100, open_rate=1, open_burst=2))
    assert come(proxy, 5) == ["to_server"] + ["pacing_full"] * 4
    proxy.publish(service(open_rate=1, open_burst=2))
    assert come(proxy, 2, first=9) == ["to_server", "service_bound"]


def test_no_more_than_half_of_the_records_wait():
    proxy = Proxy(paced(), service("mail", ports=((25, 25),), row=2), half_open=8)
    assert come(proxy, 7) == ["to_server"] + ["absorb"] * 4 + ["pacing_full"] * 2
    assert come(proxy, 4, syn=replace(SYN_IPV4, dport=25)) == ["to_server"] * 3 + [
        "half_open_full"]


def test_who_waits_makes_nobody_room():
    proxy = Proxy(paced(rate=1), connections=4)
    assert come(proxy, 5) == ["to_server"] + ["absorb"] * 3 + ["table_full"]
    proxy.clock.advance(1.2)            # the first one's server has let its SYN time out
    assert come(proxy, 2, first=9) == ["absorb", "table_full"]
    assert (proxy.counters.opening_evicted, proxy.gauges.paced) == (1, 3)


def test_whose_turn_does_not_come_in_time_is_told_as_by_a_silent_server(syn):
    silent = Proxy(service(syn_retries=0, syn_timeout_ms=100))
    Connection(silent, client(1, syn)).prove()
    told = silent.clock.advance(1).to_client
    proxy = Proxy(paced(rate=10, wait_ms=300))
    proxy.box.watch_events(True)
    conn = waiting(proxy, 1, syn)
    proxy.publish(paced(rate=1, wait_ms=300))
    assert proxy.clock.advance(0.3).sent == []
    assert proxy.clock.advance(0.001).to_client == told
    assert (proxy.counters.pacing_timeout, proxy.counters.server_timeout) == (1, 0)
    assert [event["reason"] for event in proxy.box.events()] == ["pacing_timeout"]
    assert proxy.from_client(conn.ack).to_client.flags == "RA"
    assert heard(proxy, 2000)[0][1] == 0        # the first one's, again: no other


def test_a_lower_rate_counts_for_those_who_wait_already():
    proxy = Proxy(paced(rate=10))
    come(proxy, 4)
    heard(proxy, 150)
    proxy.publish(paced(rate=2))
    assert heard(proxy, 850) == [(450, 2)]


def test_a_higher_rate_does_so_too():
    proxy = Proxy(paced(rate=2))
    come(proxy, 5)
    heard(proxy, 300)
    proxy.publish(paced(rate=50))
    assert heard(proxy, 80) == [(1, 1), (21, 2), (41, 3), (61, 4)]


def test_without_a_rate_they_go_at_once():
    proxy = Proxy(paced(rate=1))
    come(proxy, 6)
    proxy.publish(service())
    assert heard(proxy, 2) == [(1, n) for n in range(1, 6)]
    assert come(proxy, 1, first=9) == ["to_server"]


def test_a_bounded_number_goes_in_one_step():
    proxy = Proxy(paced(rate=1, wait_ms=60_000), half_open=256)
    come(proxy, 51)
    proxy.publish(service())
    steps = [len(proxy.box.tend(1)) for _ in range(5)]
    proxy.sent += sum(steps)
    assert steps == [16, 16, 16, 2, 0]


def test_one_with_many_waiting_keeps_no_other_ones():
    proxy = Proxy(paced(rate=1000, wait_ms=60_000, prefixes=("10.0.0.0/24",)), half_open=512)
    other = replace(SYN_IPV4, destination="10.0.0.3")
    come(proxy, 101)
    come(proxy, 2, 500, other)
    assert (1, 501) in heard(proxy, 2)


def test_a_clients_reset_frees_its_place_and_its_server_hears_nothing():
    proxy = Proxy(paced(rate=10))
    come(proxy, 2)
    conn = Connection(proxy, client(2)).ask()
    proxy.from_client(conn.ack)
    come(proxy, 1, first=3)
    assert proxy.from_client(conn.client(flags="R")).nothing == "absorb"
    assert (proxy.gauges.half_open, proxy.gauges.paced) == (3, 2)
    assert proxy.from_client(conn.ack).to_client.flags == "RA"
    assert heard(proxy, 900) == [(100, 1), (200, 3)]
    assert proxy.counters.server_rst_sent == 0


@pytest.mark.parametrize("gone", [(1,), (3,), (1, 2, 3), (3, 2, 1), (2, 1), (2, 3)])
def test_whoever_goes_the_others_keep_their_order(gone):
    proxy = Proxy(paced(rate=10))
    come(proxy, 1)
    conns = {n: Connection(proxy, client(n)).ask() for n in (1, 2, 3)}
    for conn in conns.values():
        proxy.from_client(conn.ack)
    for n in gone:
        proxy.from_client(conns[n].client(flags="R"))
    come(proxy, 1, first=4)
    left = [n for n in (1, 2, 3, 4) if n not in gone]
    assert heard(proxy, 900) == [(100 * turn, n) for turn, n in enumerate(left, 1)]


def test_an_operator_ends_one_that_waits_and_its_client_alone_is_told():
    proxy = Proxy(paced())
    conn = waiting(proxy)
    was, to = conn.delete()
    assert (was["state"], list(to), to[False].flags) == ("syn_sent", [False], "R")
    assert proxy.gauges.paced == 0
    assert heard(proxy, 500) == []


def test_the_same_ports_anew_wait_anew():
    proxy = Proxy(paced(rate=10))
    conn = waiting(proxy)
    come(proxy, 1, first=2)
    new = conn.anew()
    assert proxy.from_client(new.ack).nothing == "absorb"
    assert (proxy.gauges.paced, proxy.counters.conn_reopened) == (2, 1)
    assert [segment.seq for _, segment in proxy.clock.advance(0.4).sent] == [
        SYN_IPV4.seq, new.syn.seq]


def test_an_open_connections_ports_anew_wait_and_its_server_is_reset_at_once():
    proxy = Proxy(paced(rate=10))
    conn = Connection(proxy, client(0)).establish()
    new = conn.anew()
    out = proxy.from_client(new.ack)
    assert (out.verdict, out.to_server.flags) == ("absorb", "R")
    assert proxy.clock.advance(0.1).to_server.seq == new.syn.seq


def test_what_a_server_says_that_was_asked_nothing_is_dropped():
    proxy = Proxy(paced())
    conn = waiting(proxy)
    conn.server_syn = Connection(Proxy(), client(1)).prove().server_syn
    assert proxy.from_server(conn.server_synack).nothing == "synack_unexpected"
    assert proxy.from_server(conn.server()).nothing == "no_connection"
    assert proxy.from_server(conn.server(flags="RA")).nothing == "no_connection"
    assert proxy.from_server(error_about(conn.server_syn, "port-unreachable")).verdict == "bridge"
    assert proxy.clock.advance(0.1).to_server == conn.server_syn
    assert len(proxy.from_server(conn.server_synack).both) == 2


@pytest.mark.parametrize("policy", ["bridge", "drop"])
def test_they_have_their_turn_while_it_drains(policy):
    proxy = Proxy(paced())
    come(proxy, 3)
    proxy.publish(paced(), drain=policy)
    assert heard(proxy, 500) == [(100, 1), (200, 2)]


def test_they_have_their_turn_when_their_service_is_gone():
    proxy = Proxy(paced())
    come(proxy, 3)
    proxy.publish(paced(row=2, leaving=True, activation="off", unknown_flow="forward"))
    assert heard(proxy, 500) == [(100, 1), (200, 2)]
    assert proxy.gauges.half_open == 3


def test_where_nothing_is_left_of_their_service_they_go_at_once():
    proxy = Proxy(paced())
    come(proxy, 3)
    proxy.publish(service("other", ports=((443, 443),), row=2))
    assert heard(proxy, 500) == [(1, 1), (1, 2)]


def test_a_service_that_is_made_anew_gives_its_server_no_second_burst():
    proxy = Proxy(paced(burst=5))
    come(proxy, 5)
    proxy.publish(service("other", ports=((443, 443),)))
    proxy.publish(paced(burst=5, row=2))
    assert come(proxy, 2, first=9) == ["absorb", "absorb"]


def test_syns_that_pass_while_cookies_are_off_are_not_paced():
    proxy = Proxy(paced(activation="off"))
    assert [proxy.from_client(client(n)).verdict for n in range(9)] == ["bridge"] * 9


def test_without_spare_frames_they_wait_and_nobody_is_forgotten():
    proxy = Proxy(paced(rate=10))
    come(proxy, 3)
    proxy.box.spare_frames(0)
    assert heard(proxy, 150) == []
    proxy.box.spare_frames(1)
    assert heard(proxy, 1) == [(1, 1)]
    assert heard(proxy, 100) == [(100, 2)]


def test_the_clocks_wrap_changes_nothing():
    """The lower half of the milliseconds, which `wait` is held against."""
    proxy = Proxy(paced(rate=1, wait_ms=3000))
    proxy.clock.leap((2**32 - proxy.clock.now_ms % 2**32) / 1000 - 1)
    come(proxy, 3)
    proxy.publish(paced(rate=1, burst=1, wait_ms=1500))
    assert proxy.clock.advance(1.2).sent
    out = proxy.clock.advance(1)
    assert proxy.counters.pacing_timeout == 1
    assert [segment.flags for to_server, segment in out.sent if not to_server] == ["RA"]


def test_servers_beyond_the_places_are_asked_nothing_until_one_is_whole_again():
    """Each of them has its place until its next turn."""
    proxy = Proxy(paced(rate=1, prefixes=("10.0.0.0/16",)), connections=8192, half_open=8192)

    def outcomes(count):
        return [proxy.from_client(Connection(proxy, replace(
            SYN_IPV4, destination=f"10.0.{n >> 8}.{n & 255}", sport=2000 + n,
        )).ask().ack).verdict for n in range(1, count + 1)]

    first = outcomes(2 * PLACES)
    assert first[:100] == ["to_server"] * 100
    assert 0.9 * PLACES < first.count("to_server") <= PLACES
    assert set(first) == {"to_server", "pacing_full"}
    proxy.clock.leap(200)
    assert outcomes(100).count("to_server") == 100
