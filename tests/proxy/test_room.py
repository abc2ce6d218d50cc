"""Who makes room where the table or the pool is full: by class, in its order, and nobody active.

The classes stand at the head of proxy/room.
"""

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import TICK_S, Proxy, service
from .segments import replace

ACTIVE_TICKS = 10
STEPS = 16                  # entries looked at for one new connection
EVICTED = ("conn_evicted", "opening_evicted", "unused_evicted", "idle_evicted")
UNUSED_S = 2 * TICK_S       # without data for so long, and somewhat less
IDLE_S = (ACTIVE_TICKS + 1) * TICK_S
PARTINGS = 64


def client(n: int, syn=SYN_IPV4):
    return replace(syn, sport=1024 + n)


def proxy_of(connections: int = 4, half_open: int = 64, **options) -> Proxy:
    return Proxy(service(active_ticks=ACTIVE_TICKS, **options), connections=connections,
                 half_open=half_open)


def used(proxy: Proxy, n: int, syn=SYN_IPV4) -> Connection:
    """One whose server has taken a request."""
    conn = Connection(proxy, client(n, syn)).establish()
    proxy.from_client(conn.client(payload=b"x"))
    proxy.from_server(conn.server(got=1))
    return conn


def newcomer(proxy: Proxy, n: int = 100) -> str:
    """What becomes of one more client's cookie."""
    conn = Connection(proxy, client(n)).ask()
    return proxy.from_client(conn.ack).verdict


def evicted(proxy: Proxy) -> dict[str, int]:
    totals = proxy.box.counters()
    return {name: totals[name] for name in EVICTED if totals[name]}


def silent(proxy: Proxy, seconds: float) -> None:
    """Time without the timers' steps: nothing expires, and nobody is told."""
    proxy.clock.now_ms += round(seconds * 1000)
    proxy.box.set_clock(proxy.clock.now_ms)


def fill_with_one_of_each(proxy: Proxy) -> dict[str, Connection]:
    """Idle, unused, opening and ended, in that order of the table."""
    conns = {"idle": used(proxy, 0), "unused": Connection(proxy, client(1)).establish()}
    proxy.clock.advance(IDLE_S + TICK_S)
    conns["opening"] = Connection(proxy, client(2)).prove()
    proxy.clock.advance(1.5)                # its SYN is said again
    conns["ended"] = Connection(proxy, client(3)).bring_to("closed")
    return conns


def test_the_classes_go_in_their_order_and_an_active_one_never():
    proxy = proxy_of()
    fill_with_one_of_each(proxy)
    for n, name in enumerate(EVICTED):
        conn = Connection(proxy, client(100 + n)).establish()
        proxy.from_client(conn.client(payload=b"x"))
        proxy.from_server(conn.server(got=1))
        assert evicted(proxy) == dict.fromkeys(EVICTED[:n + 1], 1), name
        assert proxy.gauges.connections == 4
    assert newcomer(proxy, 200) == "table_full"
    assert evicted(proxy) == dict.fromkeys(EVICTED, 1)


def test_of_one_class_goes_who_has_been_silent_for_longest():
    proxy = proxy_of()
    conns = [used(proxy, n) for n in range(4)]
    silent(proxy, 2 * TICK_S)
    for n in (0, 1, 3):
        proxy.from_client(conns[n].client(sent=1))
    silent(proxy, IDLE_S + TICK_S)
    assert newcomer(proxy) == "to_server"
    assert evicted(proxy) == {"idle_evicted": 1}
    ports = {entry["client"][1] for entry in proxy.box.connections()}
    assert ports == {1024, 1025, 1027, 1124}


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_segment_of_either_side_makes_a_connection_active(side):
    proxy = proxy_of(connections=1)
    conn = used(proxy, 0)
    silent(proxy, IDLE_S)
    proxy.run([getattr(conn, side)(1 if side == "client" else 0, 0 if side == "client" else 1)],
              side == "client")
    silent(proxy, ACTIVE_TICKS * TICK_S)
    assert newcomer(proxy) == "table_full"
    silent(proxy, 2 * TICK_S)
    assert newcomer(proxy, 101) == "to_server"


def test_a_segment_out_of_window_makes_none_active():
    proxy = proxy_of(connections=1)
    conn = used(proxy, 0)
    silent(proxy, IDLE_S + TICK_S)
    proxy.from_client(conn.client(sent=2**28, got=2**28, payload=b"forged"))
    assert newcomer(proxy) == "to_server"
    assert evicted(proxy) == {"idle_evicted": 1}


def test_how_long_one_is_active_is_its_services_own_and_changes_live():
    proxy = proxy_of(connections=1)
    used(proxy, 0)
    silent(proxy, IDLE_S + TICK_S)
    proxy.publish(service(active_ticks=4 * ACTIVE_TICKS))
    assert newcomer(proxy) == "table_full"
    proxy.publish(service(active_ticks=ACTIVE_TICKS))
    assert newcomer(proxy, 101) == "to_server"


def test_a_fresh_handshake_and_a_fresh_connection_have_their_time():
    proxy = proxy_of(connections=2)
    Connection(proxy, client(0)).prove()
    Connection(proxy, client(1)).establish()
    assert newcomer(proxy) == "table_full"
    silent(proxy, UNUSED_S)
    assert newcomer(proxy, 101) == "to_server"
    assert evicted(proxy) == {"unused_evicted": 1}


def test_a_connection_whose_server_has_said_something_is_not_unused():
    proxy = proxy_of(connections=1)
    conn = Connection(proxy, client(0)).establish()
    proxy.from_server(conn.server(payload=b"220 ready"))
    silent(proxy, UNUSED_S + TICK_S)
    assert newcomer(proxy) == "table_full"


@pytest.mark.parametrize("syn", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("state", ["unused", "idle"])
def test_both_ends_of_an_evicted_connection_are_reset_in_their_own_numbers(state, syn):
    proxy = proxy_of(connections=1)
    conn = used(proxy, 0, syn) if state == "idle" else Connection(proxy, client(0, syn)).establish()
    sent = 1 if state == "idle" else 0
    silent(proxy, IDLE_S + TICK_S)
    assert newcomer(proxy) == "to_server"
    to_client, to_server = proxy.clock.advance(0.25).both
    assert (to_client.flags, to_client.seq, to_client.dport) == ("R", conn.client().ack, 1024)
    assert (to_server.flags, to_server.seq, to_server.sport) == ("R", conn.client(sent).seq, 1024)
    assert proxy.counters.server_rst_sent == 1
    assert proxy.clock.advance(0.25).sent == []


def test_both_ends_of_an_evicted_handshake_are_reset():
    proxy = proxy_of(connections=1)
    conn = Connection(proxy, client(0)).prove()
    proxy.clock.advance(1.5)
    assert newcomer(proxy) == "to_server"
    to_client, to_server = proxy.clock.advance(0.25).both
    assert (to_client.flags, to_client.seq) == ("R", conn.client().ack)
    assert (to_server.flags, to_server.seq) == ("R", conn.client().seq)
    assert proxy.gauges.half_open == 1


def test_what_passes_untranslated_goes_on_as_it_was_and_is_told_nothing():
    proxy = proxy_of(connections=1, unknown_flow="forward")
    old = Connection(Proxy(), client(0)).establish()
    answer = old.server(got=1, payload=b"as before")
    assert proxy.from_server(answer).verdict == "bridge"
    assert proxy.connection.passes
    silent(proxy, IDLE_S + TICK_S)
    assert newcomer(proxy) == "to_server"
    assert evicted(proxy) == {"idle_evicted": 1}
    assert proxy.clock.advance(0.25).sent == []
    assert proxy.from_server(answer).verdict == "bridge"


def test_what_needs_no_entry_to_pass_takes_the_place_of_tombstones_alone():
    proxy = proxy_of(connections=1, unknown_flow="forward")
    conn = used(proxy, 0)
    silent(proxy, IDLE_S + TICK_S)
    old = Connection(Proxy(), client(9)).establish()
    assert proxy.from_server(old.server(got=1, payload=b"x")).verdict == "bridge"
    assert evicted(proxy) == {}
    proxy.from_server(conn.server(got=1, flags="R", ack=0))
    proxy.from_server(old.server(got=1, payload=b"x"))
    assert evicted(proxy) == {"conn_evicted": 1}


def test_no_more_than_a_few_entries_are_looked_at_for_one_that_comes():
    proxy = proxy_of(connections=4 * STEPS)
    conns = [used(proxy, n) for n in range(4 * STEPS)]
    proxy.from_server(conns[2 * STEPS].server(got=1, flags="R", ack=0))
    assert [newcomer(proxy, 500 + n) for n in range(4)] == [
        "table_full", "table_full", "to_server", "table_full"]


def test_who_has_come_in_last_stands_behind_the_hand():
    proxy = proxy_of(connections=3 * STEPS)
    for n in range(3 * STEPS):
        Connection(proxy, client(n)).bring_to("closed")
    for n in range(3 * STEPS):
        Connection(proxy, client(500 + n)).bring_to("closed")
    ports = {entry["client"][1] - 1024 for entry in proxy.box.connections()}
    assert ports == set(range(500, 500 + 3 * STEPS))


def test_in_a_full_pool_the_handshake_goes_whose_server_has_been_asked_most_often():
    proxy = proxy_of(connections=64, half_open=3)
    old = Connection(proxy, client(0)).prove()
    proxy.clock.advance(1.5)
    Connection(proxy, client(1)).prove()
    proxy.clock.advance(1.75)               # the old one has been asked three times, this one twice
    Connection(proxy, client(2)).prove()
    assert newcomer(proxy) == "to_server"
    assert (proxy.counters.half_open_evicted, evicted(proxy)) == (1, {})
    states = {entry["client"][1] - 1024: entry["state"] for entry in proxy.box.connections()}
    assert states == {0: "refused", 1: "syn_sent", 2: "syn_sent", 100: "syn_sent"}
    to_client, to_server = proxy.clock.advance(0.25).both
    assert (to_client.flags, to_client.dport, to_server.flags) == ("R", 1024, "R")
    assert proxy.from_client(old.ack).to_client.flags == "RA"      # as any that was refused


def test_nor_is_a_handshake_within_its_first_try_in_a_full_pool_given_up():
    proxy = proxy_of(connections=64, half_open=2)
    for n in range(2):
        Connection(proxy, client(n)).prove()
    assert newcomer(proxy) == "half_open_full"
    assert evicted(proxy) == {}


def test_a_window_to_be_said_again_makes_room_for_a_handshake_first():
    proxy = proxy_of(connections=64, half_open=4)
    Connection(proxy, client(0)).establish()        # its window was shut
    for n in range(1, 4):
        Connection(proxy, client(n)).prove()
    assert proxy.gauges.records == 4
    assert newcomer(proxy) == "to_server"
    assert (proxy.counters.window_evicted, evicted(proxy)) == (1, {})


def test_what_makes_room_is_counted_of_its_service_and_told():
    proxy = Proxy(service(active_ticks=ACTIVE_TICKS),
                  service("mail", ports=((25, 25),), row=2, active_ticks=ACTIVE_TICKS),
                  connections=1)
    proxy.box.watch_events(True)
    mail = Connection(proxy, replace(SYN_IPV4, dport=25)).establish()
    proxy.from_server(mail.server(payload=b"220 ready"))
    silent(proxy, IDLE_S + TICK_S)
    assert newcomer(proxy) == "to_server"
    assert proxy.box.counters(2)["idle_evicted"] == 1
    events = [(event["row"], event["client"][1]) for event in proxy.box.events()
              if event["reason"] == "idle_evicted"]
    assert events == [(2, 40000)]


def test_those_that_find_no_place_to_be_told_are_counted():
    proxy = proxy_of(connections=16)
    for n in range(16 + PARTINGS + 5):
        if n % 16 == 0:
            silent(proxy, UNUSED_S + TICK_S)
        Connection(proxy, client(n)).establish()
    assert proxy.counters.unused_evicted == PARTINGS + 5
    assert proxy.counters.parting_lost == 5
    told = proxy.clock.advance(3).sent
    resets = [to_server for to_server, segment in told if segment.flags == "R"]
    assert (resets.count(True), resets.count(False)) == (PARTINGS, PARTINGS)
