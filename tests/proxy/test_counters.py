"""Counters: one fate a frame, a name and a meaning each, and none that nothing can reach.

The harness checks conservation after every call of every test; here are the names.
"""

import pytest

from cython_core.proxy import counters

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import Proxy, service
from .icmp import error_about
from .segments import replace
from .test_bad_frames import PROTECTED, wrong_sum

# netfilter's, as /proc/net/stat/synproxy has them; `entries` is a gauge of ours.
NETFILTERS = {"syn_received", "cookie_invalid", "cookie_valid", "cookie_retrans", "conn_reopened"}
# wire/segment's Fault, in its order: the number of a fault is that of its drop reason.
FAULTS = (
    "frame_truncated", "ip_malformed", "ip_checksum", "extension_malformed", "tcp_truncated",
    "tcp_malformed", "tcp_options", "tcp_checksum", "port_zero", "land", "martian",
)
# Counted by floor 3, which has the ports, and of which this floor knows nothing.
OF_WORKERS = {"sent", "tx_full", "bridge_shed", "inbox_full"}


def test_every_counter_has_a_meaning_in_one_sentence():
    named = [name.lower() for name in counters.Counter.__members__ if name != "COUNTERS_N"]
    assert list(counters.NAMES) == named
    assert set(counters.HELP) == set(named)
    for name, meaning in counters.HELP.items():
        assert meaning[0].isupper(), name
        assert meaning.endswith("."), name
        assert ". " not in meaning, name


def test_counters_bear_netfilters_names():
    assert set(counters.NAMES) >= NETFILTERS


def test_the_faults_of_a_frame_are_drop_reasons_side_by_side_in_their_order():
    first = counters.DROP_REASONS.index(FAULTS[0])
    assert counters.DROP_REASONS[first:first + len(FAULTS)] == FAULTS


def test_no_name_is_a_drop_and_something_else():
    assert len(set(counters.NAMES)) == len(counters.NAMES)
    first = counters.NAMES.index(counters.DROP_REASONS[0])
    assert counters.NAMES[first:first + len(counters.DROP_REASONS)] == counters.DROP_REASONS


def busy_day(proxy):
    """A bit of everything that may happen."""
    def client(n):
        return replace(SYN_IPV4, sport=2000 + n)

    def syn_sent(n):
        return Connection(proxy, client(n)).prove()

    for _, frame in PROTECTED.values():
        proxy.from_client(frame)
    proxy.from_client(SYN_IPV4.frame()[:20], SYN_IPV4.frame()[:50], wrong_sum(SYN_IPV4.frame(), 40))
    proxy.from_client(replace(SYN_IPV4, dport=81), replace(SYN_IPV4, flags="FS"))
    conn = syn_sent(0)
    proxy.from_client(conn.ack, conn.client(payload=b"x"), conn.client(flags="R", seq=9))
    proxy.box.spare_frames(0)
    proxy.from_server(conn.server_synack)
    proxy.box.spare_frames(64)
    proxy.from_server(conn.server(ack=9), conn.server_synack, conn.server())
    new = conn.anew()
    proxy.from_client(new.ack, replace(new.ack, ack=1))
    proxy.from_server(replace(conn.server_synack, dport=9), replace(conn.server(), dport=9))
    proxy.from_server(replace(conn.server(flags="S"), dport=10))
    Connection(proxy, client(1)).bring_to("time_wait")
    revived = Connection(proxy, client(27)).bring_to("closed")
    proxy.from_client(revived.client(got=1))
    revived.close_by_client()
    Connection(proxy, client(2)).bring_to("refused")
    Connection(proxy, client(29)).establish().delete()
    unreachable = Connection(proxy, client(28)).prove()
    proxy.from_server(error_about(unreachable.server_syn, "port-unreachable"))
    early_hours(proxy, client)
    for n in range(3, 7):
        syn_sent(n)
    conn = Connection(proxy, client(7)).ask()
    assert proxy.from_client(conn.ack).nothing == "half_open_full"
    proxy.clock.advance(70)
    for n in range(30, 50):
        conn = Connection(proxy, client(n)).ask()
        out = proxy.from_client(conn.ack)
        if out.verdict == "to_server":
            conn.server_syn = out.to_server
            proxy.from_server(conn.server_synack)
    proxy.clock.leap(60)
    rush_hour(proxy, client)
    proxy.clock.leap(60 * 60 * 9)


def rush_hour(proxy, client):
    """More clients than are to be taken, and than there are places for."""
    for first, bound in ((57, "open"), (59, "source")):
        proxy.publish(service(row=3, **{f"{bound}_rate": 1}))
        for n in (first, first + 1):
            proxy.from_client(Connection(proxy, client(n)).ask().ack)
    proxy.publish(service(row=3, pacing_rate=1, pacing_wait_ms=1000))
    for n in (84, 85, 86):
        proxy.from_client(Connection(proxy, client(n)).ask().ack)
    proxy.publish(service(row=3, pacing_rate=1, pacing_wait_ms=500))
    proxy.clock.advance(0.75)                   # a turn that doesn't come in time
    proxy.publish(service(row=3, active_ticks=1))
    proxy.clock.advance(70)
    for n in range(62, 78):
        proxy.from_server(Connection(proxy, client(n)).establish().server())
    proxy.clock.leap(12)
    Connection(proxy, client(78)).establish()   # an idle one makes room
    for n in range(79, 83):                     # a window, then a handshake
        Connection(proxy, client(n)).prove()
    proxy.clock.advance(1.5)
    Connection(proxy, client(83)).prove()
    proxy.clock.leap(70)
    for n in range(100, 200):
        if n % 16 == 4:
            proxy.clock.now_ms += 12_000        # nobody is told yet
            proxy.box.set_clock(proxy.clock.now_ms)
        Connection(proxy, client(n)).establish()


def early_hours(proxy, client):
    """Early data, and what comes while cookies are off."""
    Connection(proxy, client(20)).establish()
    Connection(proxy, SYN_IPV6).establish()     # another server, for which there is no place
    proxy.clock.advance(5)
    proxy.publish(service(row=3, early_data=True))
    Connection(proxy, client(26), sack_permitted=False).establish()
    proxy.clock.advance(5)
    conn, refused = (Connection(proxy, client(n)).prove() for n in (21, 22))
    proxy.from_client(conn.client(payload=b"displaced"), refused.client(payload=b"discarded"))
    proxy.from_server(refused.server(flags="RA"))
    proxy.from_client(conn.client(payload=b"delivered"))
    proxy.from_server(conn.server_synack)
    proxy.clock.advance(1)
    proxy.publish(service(row=3, unknown_flow="reset", unknown_rate=1, grace_ms=0))
    proxy.from_client(replace(conn.ack, sport=9), replace(conn.ack, sport=9))
    proxy.clock.advance(3)
    proxy.from_client(replace(conn.ack, sport=9))
    proxy.publish(service(row=3, activation="auto", syn_rate_mark=2, hold_ms=1000))
    proxy.from_client(client(23))
    proxy.from_server(replace(conn.server(), dport=2024))
    proxy.from_client(client(25))
    proxy.clock.advance(4)
    proxy.publish(service(row=3), drain="drop")
    proxy.from_client(client(29))
    proxy.publish(service(row=3))


@pytest.fixture(scope="module")
def busy():
    proxy = Proxy(service(row=3), connections=16, half_open=4, early=1, servers=1)
    busy_day(proxy)
    return proxy


def test_every_counter_can_be_reached(busy):
    totals = busy.box.counters()
    assert {name for name, total in totals.items() if total == 0} == OF_WORKERS


def test_a_total_is_the_sum_of_its_rows_and_nothing_is_counted_elsewhere(busy):
    totals, ours, nobodys = busy.box.counters(), busy.box.counters(3), busy.box.counters(0)
    assert totals == {name: ours[name] + nobodys[name] for name in totals}


def test_every_row_keeps_its_own_books(busy):
    for row in (0, 3):
        totals = busy.box.counters(row)
        drops = sum(totals[reason] for reason in counters.DROP_REASONS)
        assert totals["received"] == (
            totals["bridged"] + totals["translated"] + totals["consumed"] + drops)


def test_every_connection_that_opened_has_an_end(busy):
    totals = busy.box.counters()
    assert busy.gauges.connections == 0
    # One entry for each cookie and each connection that passes, unless it took another's place.
    opened = totals["cookie_valid"] + totals["server_opened"] + totals["conn_adopted"]
    assert opened - totals["conn_reopened"] == sum(totals[name] for name in (
        "conn_expired", "conn_evicted", "opening_evicted", "unused_evicted", "idle_evicted"))


def test_every_early_segment_has_an_end(busy):
    totals = busy.box.counters()
    assert busy.gauges.early == 0
    assert totals["early_held"] == (
        totals["early_delivered"] + totals["early_discarded"] + totals["early_displaced"])
