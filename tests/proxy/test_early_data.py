"""Early data: the SYN-ACK opens a window, and what comes waits for the server (G17)."""

from itertools import pairwise

import pytest

from .connection import SYN_IPV4, Connection, wrap
from .harness import Outcome, Proxy, service
from .segments import replace

WINDOW_BYTES = 8192         # that our SYN-ACK opens
SEGMENTS_MAX = 8            # that wait for one connection
REQUEST = b"GET / HTTP/1.1\r\n\r\n"


@pytest.fixture
def proxy():
    return Proxy(service(early_data=True))


def client(port: int, **differs):
    return replace(SYN_IPV4, sport=port, **differs)


def delivered(outcome) -> list:
    """What went to the server behind our ACK of its SYN-ACK."""
    to_server = [segment for to_server, segment in outcome.sent if to_server]
    assert to_server[0].payload == b""
    assert all(segment.payload or "F" in segment.flags for segment in to_server[1:])
    return to_server[1:]


def answer(conn):
    """The server's SYN-ACK, and the rest of that turn of the worker."""
    outcome = conn.proxy.from_server(conn.server_synack)
    outcome.sent += conn.proxy.clock.advance(0.001).sent
    return outcome


def test_the_synack_opens_a_window(proxy, syn):
    assert Connection(proxy, syn).ask().synack.window == WINDOW_BYTES


def test_without_early_data_the_synack_opens_none(syn):
    assert Connection(Proxy(service(early_data=False)), syn).ask().synack.window == 0


def test_a_request_that_came_early_reaches_the_server_right_behind_the_handshake(proxy, syn):
    conn = Connection(proxy, syn).prove()
    request = conn.client(flags="PA", payload=REQUEST)
    assert proxy.from_client(request).nothing == "absorb"
    (segment,) = delivered(answer(conn))
    assert segment == conn.as_server_sees(request)
    assert (proxy.counters.early_held, proxy.counters.early_delivered) == (1, 1)


def test_g17_data_on_the_third_ack_is_delivered_in_the_first_flight(proxy, syn):
    conn = Connection(proxy, syn).prove(flags="PA", payload=REQUEST)
    assert conn.server_syn.payload == b""
    (segment,) = delivered(answer(conn))
    assert segment == conn.as_server_sees(conn.client(flags="PA", payload=REQUEST))


def test_several_segments_and_a_fin_arrive_in_their_order(proxy, syn):
    conn = Connection(proxy, syn).prove()
    pieces = [conn.client(sent=100 * n, payload=bytes([n]) * 100) for n in range(3)]
    fin = conn.client(sent=300, flags="FA")
    proxy.from_client(*pieces, fin)
    assert delivered(answer(conn)) == [conn.as_server_sees(s) for s in (*pieces, fin)]
    assert proxy.connection.state == "half_closed"


def test_what_is_sent_again_waits_once(proxy, syn):
    conn = Connection(proxy, syn).prove()
    request = conn.client(payload=REQUEST)
    proxy.from_client(request, request)
    proxy.clock.advance(0.3)
    proxy.from_client(request)
    assert len(delivered(answer(conn))) == 1
    assert (proxy.counters.early_held, proxy.counters.cookie_retrans) == (1, 2)


def test_the_servers_window_is_told_as_well(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(payload=REQUEST))
    update = proxy.from_server(conn.server_synack).both[0]
    assert (update.window, update.ack) == (65160 >> 7, wrap(syn.seq + 1))


def test_what_is_said_again_with_a_fin_brings_the_fin(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(payload=REQUEST))
    last = conn.client(flags="FA", payload=REQUEST)
    assert proxy.from_client(last).nothing == "absorb"
    assert delivered(answer(conn))[-1] == conn.as_server_sees(last)
    assert proxy.connection.client_fin


@pytest.mark.parametrize("tags", [((0x8100, 42),), ((0x88A8, 7), (0x8100, 4094))],
                         ids=["vlan", "qinq"])
def test_early_data_keeps_all_that_is_not_translated(proxy, syn, tags):
    conn = Connection(proxy, replace(syn, tags=tags)).prove()
    request = conn.client(flags="PAUEC", payload=REQUEST, urgent=4, tos=0xB9, hop_limit=9,
                          window=77)
    proxy.from_client(request)
    assert delivered(answer(conn)) == [conn.as_server_sees(request)]


def test_a_server_that_scales_nothing_is_told_early_datas_window_unscaled(proxy, ts_syn):
    conn = Connection(proxy, ts_syn, wscale=None).prove()
    proxy.from_client(conn.client(payload=REQUEST, window=100))
    (segment,) = delivered(answer(conn))
    assert segment.window == 100 << 7


@pytest.mark.parametrize("start", [-1, WINDOW_BYTES])
def test_data_outside_the_window_does_not_wait(proxy, syn, start):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_client(conn.client(sent=start, payload=b"x")).nothing == "server_not_ready"
    assert proxy.gauges.early == 0


def test_one_connection_holds_no_more_than_its_share(proxy, syn):
    conn = Connection(proxy, syn).prove()
    segments = [conn.client(sent=n, payload=b"x") for n in range(SEGMENTS_MAX + 1)]
    outcome = proxy.from_client(*segments)
    assert outcome.verdicts == ["absorb"] * SEGMENTS_MAX + ["server_not_ready"]
    assert proxy.gauges.early == SEGMENTS_MAX


def test_under_pressure_the_oldest_segment_makes_room(syn):
    proxy = Proxy(service(early_data=True), early=2)
    first, second = (Connection(proxy, replace(syn, sport=port)).prove() for port in (41, 42))
    proxy.from_client(first.client(payload=b"oldest"), second.client(payload=b"second"))
    proxy.from_client(second.client(sent=6, payload=b"third"))
    assert proxy.counters.early_displaced == 1
    assert delivered(answer(first)) == []
    assert [s.payload for s in delivered(answer(second))] == [b"second", b"third"]


def test_while_all_slots_are_taken_synacks_open_no_window(syn):
    proxy = Proxy(service(early_data=True), early=1)
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(payload=REQUEST))
    assert Connection(proxy, client(41)).ask().synack.window == 0
    answer(conn)
    assert Connection(proxy, client(42)).ask().synack.window == WINDOW_BYTES


def test_a_worker_without_slots_has_no_early_data(syn):
    proxy = Proxy(service(early_data=True), early=0)
    conn = Connection(proxy, syn).prove()
    assert conn.synack.window == 0
    assert proxy.from_client(conn.client(payload=REQUEST)).nothing == "server_not_ready"


@pytest.mark.parametrize("end", ["refused", "silent", "given up", "reopened"])
def test_where_the_server_never_answers_nothing_stays(proxy, syn, end):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(payload=REQUEST))
    if end == "refused":
        proxy.from_server(conn.server(flags="RA"))
    elif end == "silent":
        proxy.clock.advance(70)
    elif end == "given up":
        proxy.from_client(conn.client(flags="R"))
    else:
        proxy.from_client(conn.anew().ack)
    assert proxy.gauges.early == 0
    assert proxy.counters.early_discarded == 1


def test_early_data_goes_on_in_the_next_turn_where_frames_run_out(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(*(conn.client(sent=n, payload=b"x") for n in range(4)))
    proxy.box.spare_frames(1)
    assert len(proxy.from_server(conn.server_synack).sent) == 2
    proxy.box.spare_frames(3)
    turns = [proxy.collect(Outcome(), proxy.box.tend(1)) for _turn in range(3)]
    assert [len(turn.sent) for turn in turns] == [3, 1, 0]
    assert proxy.counters.early_delivered == 4
    assert proxy.gauges.records == 0


def test_a_connection_that_is_reset_before_its_early_data_went_is_sent_no_more(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.from_client(conn.client(payload=REQUEST))
    proxy.from_server(conn.server_synack, conn.server(flags="R", ack=0))
    assert proxy.clock.advance(0.001).sent == []
    assert (proxy.gauges.early, proxy.counters.early_discarded) == (0, 1)


class TestAWindowThatMayHaveBeenLost:
    """Where the SYN-ACK opened none, the update is said again until the client is heard."""

    @pytest.fixture
    def proxy(self):
        return Proxy(service(early_data=False))

    def test_is_said_again_with_growing_waits(self, proxy, syn):
        conn = Connection(proxy, syn).establish()
        waits = []
        for ms in range(0, 5000, 50):
            for to_server, segment in proxy.clock.advance(0.05).sent:
                assert not to_server
                assert segment == replace(conn.window_update, hop_limit=segment.hop_limit,
                                          flow_label=segment.flow_label)
                waits.append(ms)
        assert len(waits) == 4
        gaps = [later - former for former, later in pairwise([0, *waits])]
        assert all(later > 1.5 * former for former, later in pairwise(gaps))
        assert proxy.counters.window_repeated == 4

    @pytest.mark.parametrize("sign", ["server acknowledged", "client acknowledged", "closed"])
    def test_is_said_no_more_once_the_client_is_heard(self, proxy, syn, sign):
        conn = Connection(proxy, syn).establish()
        if sign == "server acknowledged":
            proxy.from_client(conn.client(payload=b"x"))
            proxy.from_server(conn.server(got=1))
        elif sign == "client acknowledged":
            proxy.from_server(conn.server(payload=b"x"))
            proxy.from_client(conn.client(got=1))
        else:
            proxy.from_client(conn.client(flags="FA"))
        assert proxy.clock.advance(5).sent == []
        assert proxy.gauges.records == 0

    def test_is_said_again_to_a_client_that_found_the_hold_full(self, syn):
        proxy = Proxy(service(early_data=True), early=1)
        first = Connection(proxy, replace(syn, sport=41)).prove()
        proxy.from_client(first.client(payload=REQUEST))
        shut = Connection(proxy, syn).ask()
        assert shut.synack.window == 0
        answer(first)
        shut.server_syn = proxy.from_client(shut.ack).to_server
        shut.window_update, shut.server_ack = proxy.from_server(shut.server_synack).both
        again = proxy.clock.advance(0.3).to_client
        assert (again.seq, again.window) == (shut.window_update.seq, shut.window_update.window)

    def test_is_not_said_again_to_a_client_that_had_an_open_one(self, syn):
        proxy = Proxy(service(early_data=True))
        Connection(proxy, syn).establish()
        assert proxy.clock.advance(5).sent == []
        assert proxy.gauges.records == 0

    def test_leaves_the_records_to_new_connections(self, syn):
        proxy = Proxy(service(early_data=False), half_open=2)
        for port in range(40, 44):
            Connection(proxy, replace(syn, sport=port)).establish()
        assert proxy.gauges.records <= 1
