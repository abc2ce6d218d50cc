"""From a client's SYN to an open connection: each segment of seed's picture, in its order.

RFC 9293 §3.5, §3.10.7; RFC 7323 §2, §3.2; design/protocol §1, §4, G1, G4-G6, G12, G13.
"""

from itertools import combinations

import pytest
from scapy.layers.inet import TCP
from scapy.layers.l2 import Ether

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import Proxy, service
from .segments import Segment, replace

# The client's SYN and its answer.

def test_a_syn_is_answered_by_one_synack_and_nothing_is_remembered(proxy, syn):
    synack = proxy.from_client(syn).to_client
    assert synack == Segment(
        syn.destination, syn.source, 80, 40000, "SA", seq=synack.seq, ack=wrap(syn.seq + 1),
        window=0, mss=syn.mss, wscale=7, sack_permitted=True, tsval=synack.tsval,
        tsecr=syn.tsval, hop_limit=64, flow_label=syn.flow_label,
        source_mac=syn.destination_mac, destination_mac=syn.source_mac,
    )
    assert (proxy.counters.syn_received, proxy.counters.synack_sent) == (1, 1)
    assert (proxy.gauges.connections, proxy.gauges.half_open) == (0, 0)


@pytest.mark.parametrize("tags", [
    ((0x8100, 42),), ((0x8100, 1), (0x8100, 2)), ((0x88A8, 7), (0x8100, 4094)),
], ids=["vlan", "two-vlans", "qinq"])
def test_every_segment_of_the_handshake_keeps_its_tags(proxy, syn, tags):
    conn = Connection(proxy, replace(syn, tags=tags)).establish()
    said = conn.synack, conn.server_syn, conn.server_ack, conn.window_update
    assert [segment.tags for segment in said] == [tags] * 4


def test_the_payload_of_a_syn_is_not_acknowledged(proxy, syn):
    synack = proxy.from_client(replace(syn, payload=b"early")).to_client
    assert (synack.ack, synack.payload) == (wrap(syn.seq + 1), b"")


UNKNOWN_OPTIONS = {
    "fast-open": (34, b"\x01" * 4), "multipath": (30, b"\x00\x81" + b"k" * 8),
    "md5": (19, b"m" * 16), "authentication": (29, b"\x01\x02" + b"a" * 12),
    "unassigned": (200, b""),
}


@pytest.mark.parametrize("name", UNKNOWN_OPTIONS)
@pytest.mark.parametrize("template", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_unknown_options_of_a_syn_are_neither_echoed_nor_asked_of_the_server(
        proxy, template, name):
    template = plain(template)
    frame = replace(template, options=(("MSS", template.mss), UNKNOWN_OPTIONS[name])).frame()
    verdicts, [(to_server, answer)] = proxy.box.run([frame], True)
    proxy.sent += 1
    assert (verdicts, to_server) == (["to_client"], False)
    assert option_names(answer) == ["MSS"]
    synack = Segment.read(answer)
    ack = replace(template, flags="A", seq=template.seq + 1, ack=synack.seq + 1, options=())
    verdicts, [(to_server, syn)] = proxy.box.run([ack.frame()], True)
    proxy.sent += 1
    assert (verdicts, to_server) == (["to_server"], True)
    assert option_names(syn) == ["MSS"]


def option_names(frame):
    return [name for name, _ in Ether(frame)[TCP].options]


def test_of_options_that_are_said_twice_the_last_counts(proxy, ts_syn):
    twice = (("MSS", 536), ("Timestamp", (7, 0)), ("WScale", 2), ("MSS", 1300),
             ("Timestamp", (ts_syn.tsval, 0)), ("WScale", 9))
    synack = proxy.from_client(replace(ts_syn, options=twice)).to_client
    assert synack.tsecr == ts_syn.tsval
    ack = replace(ts_syn, flags="A", seq=wrap(ts_syn.seq + 1), ack=wrap(synack.seq + 1),
                  options=(("Timestamp", (99, 0)), ("Timestamp", (ts_syn.tsval, synack.tsval))))
    server_syn = proxy.from_client(ack).to_server
    assert (server_syn.mss, server_syn.wscale, server_syn.tsval) == (1300, 9, ts_syn.tsval)


OPTIONS = {
    "mss": ("MSS", 1460), "wscale": ("WScale", 7), "sack": ("SAckOK", b""),
    "timestamps": ("Timestamp", (1, 0)),
}
OPTION_SETS = [names for n in range(5) for names in combinations(OPTIONS, n)]


@pytest.mark.parametrize("names", OPTION_SETS, ids="-".join)
@pytest.mark.parametrize("template", [SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def test_a_synack_answers_only_what_was_offered_and_is_no_longer_than_the_syn(template, names):
    proxy = Proxy()
    syn = replace(template, options=tuple(OPTIONS[name] for name in names))
    verdicts, [(_, frame)] = proxy.box.run([syn.frame()], True)
    proxy.sent += 1
    assert verdicts == ["to_client"]
    assert len(frame) <= len(syn.frame())
    synack = Segment.read(frame)
    # Without timestamps there are 16 rows, see cookie: none with SACK for the default MSS of
    # IPv4, one for that of IPv6, which has a scale as well.
    sack, wscale = "sack" in names, "wscale" in names
    if "timestamps" not in names:
        wscale = wscale and sack and ("mss" in names or template is SYN_IPV6)
        sack = sack and ("mss" in names or wscale)
    assert (synack.mss is not None) == ("mss" in names)
    assert (synack.wscale is not None) == wscale
    assert synack.sack_permitted == sack
    assert (synack.tsval is not None) == ("timestamps" in names)


def test_a_service_announces_what_it_is_set_to(syn):
    proxy = Proxy(service(mss=1300, mss_ipv6=1300, wscale=3, sack=False, timestamps=True))
    synack = proxy.from_client(syn).to_client
    assert (synack.mss, synack.sack_permitted) == (1300, False)
    # See cookie: without SACK and timestamps no scale is kept.
    assert synack.wscale == (3 if syn.tsval is not None else None)
    proxy = Proxy(service(wscale=15, timestamps=False))
    synack = proxy.from_client(syn).to_client
    assert (synack.wscale, synack.tsval, synack.sack_permitted) == (None, None, True)


def test_congestion_notification_is_agreed_to_where_the_service_has_it(ts_syn):
    offer = replace(ts_syn, flags="SEC")
    assert Proxy().from_client(offer).to_client.flags == "SA"
    conn = Connection(Proxy(service(ecn=True)), offer).prove()
    assert (conn.synack.flags, conn.server_syn.flags) == ("SAE", "SEC")


# The client's ACK and the SYN to the server.

def test_a_proven_client_leads_to_a_syn_that_the_client_could_have_sent(proxy, syn):
    syn = replace(syn, hop_limit=33, tos=0xB8)
    conn = Connection(proxy, syn).ask()
    out = proxy.from_client(replace(conn.ack, tos=0xB8))
    assert out.to_server == replace(
        syn, window=65535 if syn.wscale is None else min(65535, 502 << 7), tsval=conn.ack.tsval,
        tos=0xB8,
    )
    assert (proxy.counters.cookie_valid, proxy.counters.server_syn_sent) == (1, 1)
    assert (proxy.gauges.connections, proxy.gauges.half_open) == (1, 1)
    assert proxy.connection.state == "syn_sent"


@pytest.mark.parametrize(("wscale", "window", "announced"), [
    (0, 1000, 1000), (7, 502, 64256), (7, 512, 65535), (14, 65535, 65535), (None, 8192, 8192),
])
def test_the_window_to_the_server_is_the_clients_unscaled_at_most_65535(
        proxy, ts_syn, wscale, window, announced):
    conn = Connection(proxy, replace(ts_syn, wscale=wscale)).prove(window=window)
    assert (conn.server_syn.window, conn.server_syn.wscale) == (announced, wscale)


@pytest.mark.parametrize("mss", [1, 88, 536, 1220, 1299, 1400, 1412, 1460, 1919, 8960])
def test_a_client_with_timestamps_has_its_exact_mss_told(proxy, ts_syn, mss):
    assert Connection(proxy, replace(ts_syn, mss=mss)).prove().server_syn.mss == mss


@pytest.mark.parametrize(("mss", "told"), [(1920, 1920), (1983, 1920), (8940, 8896),
                                           (10048, 10048), (65495, 10048)])
def test_an_mss_longer_than_an_ethernet_frames_is_rounded_down_to_steps(proxy, ts_syn, mss, told):
    assert Connection(proxy, replace(ts_syn, mss=mss)).prove().server_syn.mss == told


def test_congestion_marks_of_the_ack_are_not_kept(proxy, syn):
    assert Connection(proxy, syn).prove(tos=0xBB).server_syn.tos == 0xB8


def test_a_window_probe_is_as_good_as_the_third_ack_that_was_lost(proxy, syn):
    conn = Connection(proxy, replace(syn, mss=1300)).ask()
    server_syn = proxy.from_client(replace(conn.ack, seq=syn.seq)).to_server
    # G6: the MSS is the client's own.
    assert (server_syn.seq, server_syn.mss) == (syn.seq, 1300 if conn.timestamps else 1290
                                                if syn.family == 4 else 1272)
    assert proxy.counters.cookie_valid == 1


def test_data_from_the_place_of_the_syn_is_no_window_probe(proxy, syn):
    conn = Connection(proxy, syn).ask()
    assert proxy.from_client(replace(conn.ack, seq=syn.seq, payload=b"x")).nothing == (
        "cookie_invalid")


def test_a_third_ack_may_carry_data(proxy, syn):
    conn = Connection(proxy, syn).ask()
    server_syn = proxy.from_client(replace(conn.ack, flags="PA", payload=b"GET /")).to_server
    assert (server_syn.flags, server_syn.seq, server_syn.payload) == ("S", syn.seq, b"")


# While the server is awaited.

def test_an_ack_sent_again_is_absorbed(proxy, syn):
    conn = Connection(proxy, syn).prove()
    for n in range(1, 4):
        assert proxy.from_client(conn.ack).nothing == "absorb"
        assert proxy.counters.cookie_retrans == n
    assert proxy.from_client(replace(conn.ack, seq=syn.seq)).nothing == "absorb"
    assert (proxy.gauges.connections, proxy.gauges.half_open) == (1, 1)


def test_data_before_the_server_is_ready_is_left_to_the_clients_retransmission(proxy, syn):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_client(conn.client(payload=b"x")).nothing == "server_not_ready"
    assert proxy.from_client(conn.client(flags="FA")).nothing == "server_not_ready"
    assert proxy.counters.server_not_ready == 2


def test_a_syn_to_a_silent_server_is_said_again_and_again_and_then_the_client_is_told(proxy, syn):
    conn = Connection(proxy, syn).prove()
    for wait in (1, 2, 4, 8, 16):
        assert proxy.clock.advance(wait).sent == []
        assert proxy.clock.advance(0.25).to_server == conn.server_syn
    assert proxy.counters.server_syn_retrans == 5
    assert proxy.clock.advance(32).sent == []
    rst = proxy.clock.advance(0.25).to_client
    assert rst == Segment(
        syn.destination, syn.source, 80, 40000, "RA", seq=wrap(conn.synack.seq + 1),
        ack=wrap(syn.seq + 1), window=0, hop_limit=64, flow_label=syn.flow_label,
        source_mac=syn.destination_mac, destination_mac=syn.source_mac,
    )
    assert (proxy.counters.server_timeout, proxy.gauges.half_open) == (1, 0)
    assert proxy.clock.advance(60).sent == []


@pytest.mark.parametrize("retries", [0, 1, 8])
def test_the_bound_of_retries_and_the_first_wait_are_the_services(retries):
    proxy = Proxy(service(syn_retries=retries, syn_timeout_ms=100))
    Connection(proxy).prove()
    sent = proxy.clock.advance(0.1 * 2 ** (retries + 1) + 2).sent
    assert [to_server for to_server, _ in sent] == [True] * retries + [False]
    assert sent[-1][1].flags == "RA"


def test_a_client_that_resets_while_its_server_is_awaited_ends_the_servers_half_as_well(proxy, syn):
    conn = Connection(proxy, syn).prove()
    out = proxy.from_client(conn.client(flags="R", ack=0, tsval=None, tsecr=None))
    rst = out.to_server
    assert (rst.flags, rst.seq, rst.ack) == ("R", wrap(syn.seq + 1), 0)
    assert (proxy.connection.state, proxy.gauges.half_open) == ("refused", 0)
    assert proxy.counters.server_rst_sent == 1
    assert proxy.clock.advance(64).sent == []


@pytest.mark.parametrize("off", [-1, 1, 2**31])
def test_a_reset_that_is_not_exact_does_not_end_an_awaited_connection(proxy, syn, off):
    conn = Connection(proxy, syn).prove()
    out = proxy.from_client(conn.client(flags="R", seq=wrap(syn.seq + 1 + off)))
    assert out.nothing == "rst_out_of_window"
    assert proxy.connection.state == "syn_sent"


# The server's answer.

def test_a_servers_synack_is_acknowledged_and_the_clients_window_opened(proxy, syn):
    conn = Connection(proxy, syn).establish()
    ours = conn.server_synack
    tsval = conn.ack.tsval
    assert conn.server_ack == Segment(
        syn.source, syn.destination, 40000, 80, "A", seq=wrap(syn.seq + 1),
        ack=wrap(conn.server_isn + 1), window=502, tsval=tsval, tsecr=ours.tsval,
        hop_limit=syn.hop_limit, flow_label=syn.flow_label,
        source_mac=syn.source_mac, destination_mac=syn.destination_mac,
    )
    assert conn.window_update == Segment(
        syn.destination, syn.source, 80, 40000, "A", seq=wrap(conn.synack.seq + 1),
        ack=wrap(syn.seq + 1), window=65160 >> 7, tsval=conn.synack.tsval, tsecr=tsval,
        source_mac=syn.destination_mac, destination_mac=syn.source_mac,
    )
    assert (proxy.counters.server_established, proxy.gauges.half_open) == (1, 0)
    assert proxy.connection.state == "established"


@pytest.mark.parametrize(("announced", "synack_window", "update"), [
    (7, 65535, 511), (7, 127, 1), (7, 1, 1), (7, 0, 0), (14, 65535, 3), (14, 100, 1),
    (0, 4321, 4321),
])
def test_the_window_update_is_scaled_and_never_a_false_zero(ts_syn, announced, synack_window,
                                                            update):
    conn = Connection(Proxy(service(wscale=announced)), ts_syn, window=synack_window).establish()
    assert conn.window_update.window == update


def test_a_server_without_a_scale_is_told_the_clients_window_unscaled(proxy, ts_syn):
    conn = Connection(proxy, ts_syn, wscale=None).establish()
    assert conn.server_ack.window == 502 << 7
    conn = Connection(Proxy(), ts_syn, wscale=None).establish(window=1024)
    assert conn.server_ack.window == 65535


def test_a_synack_that_comes_again_is_acknowledged_again(proxy, syn):
    conn = Connection(proxy, syn).establish()
    again = proxy.from_server(conn.server_synack).to_server
    assert again == replace(conn.server_ack, window=again.window, hop_limit=64, flow_label=0)
    assert 1 <= again.window <= conn.server_ack.window
    assert proxy.counters.server_established == 1


@pytest.mark.parametrize(("window", "least"), [(0, 0), (1, 0), (2, 1), (502, 256), (65535, 32768)])
@pytest.mark.parametrize("server_scale", [None, 7])
def test_an_ack_said_again_opens_no_more_than_the_client_has(ts_syn, window, least, server_scale):
    proxy = Proxy()
    conn = Connection(proxy, ts_syn, wscale=server_scale).establish(window=window)
    again = proxy.from_server(conn.server_synack).to_server.window
    if server_scale is None:
        least, window = min(65535, least << 7), min(65535, window << 7)
    assert min(least, 1) <= again <= max(window, least)


def test_a_synack_with_another_isn_is_dropped(proxy, syn):
    conn = Connection(proxy, syn).establish()
    other = replace(conn.server_synack, seq=wrap(conn.server_isn + 1))
    assert proxy.from_server(other).nothing == "synack_unexpected"


def test_a_synack_that_nobody_asked_for_is_dropped(proxy, syn):
    answer = Segment(syn.destination, syn.source, 80, 40000, "SA", seq=7, ack=8)
    assert proxy.from_server(answer).nothing == "synack_unexpected"
    assert proxy.counters.synack_unexpected == 1


def test_a_refusal_reaches_the_client_in_its_own_numbers(proxy, syn):
    conn = Connection(proxy, syn).prove()
    refusal = replace(conn.server_synack, flags="RA", seq=0, window=0, mss=None, wscale=None,
                      sack_permitted=False, tsval=None, tsecr=None)
    rst = proxy.from_server(refusal).to_client
    assert (rst.flags, rst.seq, rst.ack) == ("RA", wrap(conn.synack.seq + 1), wrap(syn.seq + 1))
    assert (proxy.counters.server_refused, proxy.gauges.half_open) == (1, 0)
    assert proxy.counters.conn_closed == 0          # it never was open
    assert proxy.connection.state == "refused"
    assert proxy.clock.advance(64).sent == []


def test_a_refused_client_that_speaks_again_is_refused_again(proxy, syn):
    conn = Connection(proxy, syn).prove()
    rst = proxy.from_server(conn.server(flags="RA", seq=0, ack=wrap(syn.seq + 1))).to_client
    assert proxy.from_client(conn.client(flags="PA", payload=b"hello")).to_client == replace(
        rst, hop_limit=64, flow_label=syn.flow_label)
    assert proxy.from_client(conn.client(flags="R")).nothing == "no_connection"
    assert proxy.counters.server_syn_sent == 1


@pytest.mark.parametrize("differs", [
    {"flags": "RA", "ack": 5}, {"flags": "R", "ack": 0},
], ids=["wrong-ack", "no-ack"])
def test_a_refusal_that_acknowledges_nothing_of_ours_is_ignored(proxy, syn, differs):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_server(conn.server(**differs)).nothing == "rst_out_of_window"
    assert proxy.connection.state == "syn_sent"


@pytest.mark.parametrize("flags", ["A", "SA", "FA"])
def test_a_server_with_an_older_connection_gets_a_reset_and_our_syn_again(proxy, syn, flags):
    conn = Connection(proxy, syn).prove()
    challenge = conn.server(flags=flags, seq=77_000, ack=99_000)
    rst, again = proxy.from_server(challenge).two_to_server
    assert (rst.flags, rst.seq, rst.ack) == ("R", 99_000, 0)
    assert again == conn.server_syn
    assert proxy.counters.server_challenged == 1
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    assert proxy.connection.state == "established"


def test_challenges_share_the_bound_of_the_retries(proxy, syn):
    conn = Connection(proxy, syn).prove()
    challenge = conn.server(seq=77_000, ack=99_000)
    for _ in range(5):
        assert len(proxy.from_server(challenge).two_to_server) == 2
    assert proxy.from_server(challenge).nothing == "synack_unexpected"
    assert proxy.counters.server_syn_retrans == 5


def test_an_ack_of_our_syn_without_a_syn_says_nothing(proxy, syn):
    conn = Connection(proxy, syn).prove()
    assert proxy.from_server(conn.server()).nothing == "synack_unexpected"
    assert proxy.connection.state == "syn_sent"


def test_without_a_spare_frame_the_servers_synack_waits_for_the_next_one(proxy, syn):
    conn = Connection(proxy, syn).prove()
    proxy.box.spare_frames(0)
    assert proxy.from_server(conn.server_synack).nothing == "no_buffer"
    assert proxy.from_server(conn.server(seq=1, ack=2)).nothing == "no_buffer"
    assert proxy.clock.advance(5).sent == []
    proxy.box.spare_frames(64)
    assert [to_server for to_server, _ in proxy.clock.advance(0.25).sent] == [True]
    assert len(proxy.from_server(conn.server_synack).both) == 2
    assert proxy.connection.state == "established"


def test_a_synack_after_the_client_was_given_up_is_reset(proxy, syn):
    conn = Connection(proxy, syn).prove()
    assert proxy.clock.leap(64).sent
    while proxy.gauges.half_open:
        proxy.clock.leap(64)
    rst = proxy.from_server(conn.server_synack).to_server
    assert (rst.flags, rst.seq) == ("R", wrap(syn.seq + 1))


def test_a_client_without_timestamps_keeps_sack_and_scale(proxy):
    conn = Connection(proxy, plain(SYN_IPV4)).establish()
    assert conn.server_syn.sack_permitted
    assert conn.server_syn.wscale == 7
