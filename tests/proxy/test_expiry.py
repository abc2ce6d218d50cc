"""Time and room: who is forgotten when, and what happens where there is no room.

design/architecture "State", protocol §4; timeouts are kept in ticks of 4 s, so an entry goes
within two ticks after its time.
"""

import pytest

from .connection import SYN_IPV4, Connection
from .harness import TICK_S, Proxy, service
from .segments import replace

SLACK_S = 2 * TICK_S
WINDOWS_S = 7               # within which a window is said again
TIMEOUTS = {"established_ticks": 50, "half_closed_ticks": 40, "time_wait_ticks": 35,
            "closed_ticks": 31}


def client(n: int):
    return replace(SYN_IPV4, source=f"198.51.{n // 250}.{n % 250 + 1}", sport=1024 + n)


@pytest.mark.parametrize(("state", "ticks"), [
    ("established", 50), ("half_closed", 40), ("time_wait", 35), ("closed", 31), ("refused", 31),
])
def test_an_idle_connection_is_forgotten_after_the_time_of_its_state(syn, state, ticks):
    proxy = Proxy(service(**TIMEOUTS))
    Connection(proxy, syn).bring_to(state)
    proxy.clock.advance(WINDOWS_S)
    proxy.clock.leap(ticks * TICK_S - WINDOWS_S)
    assert proxy.connection.state == state
    assert proxy.clock.leap(SLACK_S).sent == []
    assert (proxy.gauges.connections, proxy.counters.conn_expired) == (0, 1)


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("state", ["established", "half_closed", "time_wait"])
def test_a_segment_from_either_side_keeps_a_connection(syn, state, side):
    proxy = Proxy(service(**TIMEOUTS))
    conn = Connection(proxy, syn).bring_to(state)
    for _ in range(5):
        proxy.clock.leap(34 * TICK_S)
        proxy.run([getattr(conn, side)()], side == "client")
    assert proxy.connection.state == state


@pytest.mark.parametrize("state", ["closed", "refused"])
def test_nothing_keeps_a_tombstone(syn, state):
    proxy = Proxy(service(**TIMEOUTS))
    conn = Connection(proxy, syn).bring_to(state)
    for _ in range(4):
        proxy.clock.leap(10 * TICK_S)
        proxy.from_client(conn.client())
        proxy.from_server(conn.server())
    assert proxy.gauges.connections == 0


def test_segments_out_of_window_keep_nothing(syn):
    proxy = Proxy(service(**TIMEOUTS))
    conn = Connection(proxy, syn).establish()
    for _ in range(3):
        proxy.clock.leap(20 * TICK_S)
        proxy.from_client(conn.client(sent=2**28, got=2**28, payload=b"spoofed"))
    assert proxy.gauges.connections == 0


@pytest.mark.parametrize("state", ["established", "half_closed", "time_wait", "closed"])
def test_each_service_has_timeouts_of_its_own(syn, state):
    patient = {name: 4 * ticks for name, ticks in TIMEOUTS.items()}
    proxy = Proxy(service(**TIMEOUTS), service("mail", ports=((25, 25),), row=2, **patient))
    for dport in (80, 25):
        Connection(proxy, replace(syn, dport=dport)).bring_to(state)
    proxy.clock.leap(TIMEOUTS["established_ticks"] * TICK_S + SLACK_S)
    assert proxy.gauges.connections == 1
    assert (proxy.box.counters(1)["conn_expired"], proxy.box.counters(2)["conn_expired"]) == (1, 0)


def test_each_service_asks_its_silent_servers_as_often_as_it_is_set_to(syn):
    proxy = Proxy(service(syn_retries=1), service("mail", ports=((25, 25),), row=2, syn_retries=3))
    for dport in (80, 25):
        Connection(proxy, replace(syn, dport=dport)).prove()
    proxy.clock.advance(3.5)
    assert proxy.gauges.half_open == 1
    proxy.clock.advance(13)
    assert proxy.gauges.half_open == 0
    assert [proxy.box.counters(row)["server_syn_retrans"] for row in (1, 2)] == [1, 3]


def test_a_change_of_a_timeout_reaches_connections_that_are_already_open(syn):
    proxy = Proxy(service(**TIMEOUTS))
    Connection(proxy, syn).establish()
    proxy.clock.leap(40 * TICK_S)
    proxy.publish(service(**TIMEOUTS | {"established_ticks": 1000}))
    proxy.clock.leap(100 * TICK_S)
    assert proxy.connection.state == "established"
    proxy.publish(service(**TIMEOUTS | {"established_ticks": 32}))
    proxy.clock.leap(TICK_S)
    assert proxy.gauges.connections == 0


def test_a_change_of_options_touches_no_open_connection(conn):
    proxy = conn.proxy
    before = proxy.connection
    proxy.publish(service(mss=1000, wscale=1, sack=False, timestamps=False, ecn=True))
    assert proxy.connection == before
    data = conn.client(payload=b"still here")
    assert proxy.from_client(data).to_server == conn.as_server_sees(data)


def test_a_connection_whose_service_is_gone_is_forgotten_after_an_hour(proxy, syn):
    Connection(proxy, syn).establish()
    proxy.publish(service(prefixes=("192.0.2.1/32",)))
    proxy.clock.leap(3600)
    assert proxy.gauges.connections == 1
    proxy.clock.leap(SLACK_S)
    assert proxy.gauges.connections == 0


@pytest.mark.parametrize("connections", [1, 7, 300])
def test_every_idle_entry_is_found_in_each_turn_of_the_activity_clock(connections):
    proxy = Proxy(service(**TIMEOUTS), connections=connections, half_open=connections)
    for n in range(connections):
        proxy.from_client(Connection(proxy, client(n)).ask().ack)
    assert proxy.gauges.connections == connections
    while proxy.gauges.half_open:
        proxy.clock.leap(64)
    proxy.clock.leap(31 * TICK_S + SLACK_S)
    proxy.clock.leap(TICK_S)
    assert (proxy.gauges.connections, proxy.counters.conn_expired) == (0, connections)


# Room.

def filled(state, capacity=8):
    proxy = Proxy(connections=capacity)
    for n in range(capacity):
        Connection(proxy, client(n)).bring_to(state)
    assert proxy.gauges.connections == capacity
    return proxy


@pytest.mark.parametrize("state", ["syn_sent", "established", "half_closed"])
def test_a_full_table_refuses_a_valid_cookie_and_loses_nothing(state):
    proxy = filled(state)
    conn = Connection(proxy, client(100)).ask()
    assert proxy.from_client(conn.ack).nothing == "table_full"
    assert (proxy.counters.table_full, proxy.counters.conn_evicted) == (1, 0)
    assert proxy.gauges.half_open == (8 if state == "syn_sent" else 0)
    assert proxy.gauges.connections == 8


def test_a_client_that_was_refused_for_want_of_room_is_served_when_there_is_some():
    proxy = filled("established")
    conn = Connection(proxy, client(100)).ask()
    assert proxy.from_client(conn.ack).nothing == "table_full"
    old = Connection(proxy, client(3)).ask()
    old.server_isn, old.server_syn = 2**32 - 2, client(3)
    proxy.from_client(old.client(flags="R", ack=0, tsval=None, tsecr=None))
    assert proxy.from_client(replace(conn.ack, seq=conn.syn.seq)).to_server.flags == "S"
    assert proxy.counters.conn_evicted == 1


@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
def test_a_closed_connection_goes_early_where_the_table_is_full(state):
    proxy = filled(state)
    for n in range(100, 108):
        Connection(proxy, client(n)).establish()
    assert (proxy.gauges.connections, proxy.counters.conn_evicted) == (8, 8)
    assert {entry["state"] for entry in proxy.box.connections()} == {"established"}
    conn = Connection(proxy, client(200)).ask()
    assert proxy.from_client(conn.ack).nothing == "table_full"


def test_a_full_table_still_answers_syns_and_serves_its_connections():
    proxy = Proxy(connections=4)
    conns = [Connection(proxy, client(n)).establish() for n in range(4)]
    Connection(proxy, client(9)).ask()
    for conn in conns:
        data = conn.client(payload=b"on we go")
        assert proxy.from_client(data).to_server == conn.as_server_sees(data)


def test_a_full_table_reopens_the_ports_it_has():
    proxy = filled("established")
    new = Connection(proxy, replace(client(5), seq=4711)).ask()
    assert len(proxy.from_client(new.ack).two_to_server) == 2
    assert proxy.counters.conn_reopened == 1


def test_half_open_connections_are_bounded_and_their_clients_retry():
    proxy = Proxy(half_open=3)
    first = [Connection(proxy, client(n)).prove() for n in range(3)]
    conn = Connection(proxy, client(9)).ask()
    assert proxy.from_client(conn.ack).nothing == "half_open_full"
    assert (proxy.gauges.connections, proxy.counters.half_open_full) == (3, 1)
    assert len(proxy.from_server(first[1].server_synack).both) == 2
    assert proxy.from_client(conn.ack).to_server.flags == "S"


def test_a_half_open_record_is_used_again_and_again():
    proxy = Proxy(half_open=1)
    for n in range(20):
        conn = Connection(proxy, client(n))
        conn.bring_to("refused" if n % 2 else "established")
    assert proxy.gauges.half_open == 0
    assert proxy.clock.advance(3).sent == []


def test_many_silent_servers_are_asked_again_each_in_its_time():
    proxy = Proxy()
    for n in range(100):
        Connection(proxy, client(n)).prove()
        proxy.clock.advance(0.25)
    proxy.clock.advance(70)
    assert proxy.counters.server_syn_retrans == 500
    assert (proxy.counters.server_timeout, proxy.gauges.half_open) == (100, 0)


@pytest.mark.parametrize("stopped_s", [70, 3600, 86_400])
def test_a_handshake_after_a_long_stop_is_not_hurried(stopped_s):
    """A machine that was asleep, a process that was stopped: the timers have much to catch up."""
    proxy = Proxy()
    proxy.clock.now_ms += stopped_s * 1000
    proxy.box.set_clock(proxy.clock.now_ms)
    conn = Connection(proxy, SYN_IPV4).prove()
    assert proxy.box.tend(2 * stopped_s) == []
    assert proxy.clock.advance(0.75).sent == []
    assert proxy.clock.advance(0.5).to_server == conn.server_syn


def test_timers_wait_for_spare_frames_and_forget_nobody():
    proxy = Proxy()
    for n in range(50):
        Connection(proxy, client(n)).prove()
    proxy.box.spare_frames(0)
    assert proxy.clock.advance(2).sent == []
    proxy.box.spare_frames(1)
    assert len(proxy.clock.advance(5).sent) >= 50
    assert proxy.counters.server_syn_retrans >= 50
