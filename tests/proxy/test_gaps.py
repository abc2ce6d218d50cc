"""Where netfilter's SYNPROXY falls short: design/protocol §2, one row a test.

A test here says what its row wants, in segments and counters; the rules behind it stand in
test_handshake, test_translation, test_close and the test_endpoint files.
"""

import pytest

from .connection import Connection, plain, wrap
from .harness import Proxy, service
from .icmp import NARROW_MTU, error_about
from .segments import Segment, replace

PORTS, CONNECTIONS = 20, 30
COOKIE_LIFE_S = 120         # at most: two epochs


def to_server(out) -> list[Segment]:
    return [segment for towards_server, segment in out.sent if towards_server]


def test_g1_a_server_that_speaks_first_is_heard_at_once(proxy, syn):
    conn = Connection(proxy, syn).prove()
    greeting = conn.server(flags="PA", payload=b"220 ready\r\n")
    out = proxy.from_server(conn.server_synack, greeting)       # back to back, in one burst
    (ack,) = to_server(out)
    update, seen = (segment for towards_server, segment in out.sent if not towards_server)
    assert ack.ack == wrap(conn.server_isn + 1)
    assert (seen.seq, seen.payload) == (update.seq, b"220 ready\r\n")
    assert update.seq == wrap(conn.synack.seq + 1)
    if conn.timestamps:
        # RFC 7323 §3.2: else the server's TcpExtTSEcrRejected counts, and the ACK is lost.
        assert (ack.tsval, ack.tsecr) == (conn.ack.tsval, conn.server_tsval)
        assert seen.tsval == wrap(conn.synack.tsval + 30)
        answer = conn.client(got=11, tsecr=seen.tsval)
        assert proxy.from_client(answer).to_server.tsecr == greeting.tsval
    assert (proxy.counters.server_established, proxy.drops) == (1, {})


def test_g2_a_servers_reset_after_acknowledged_data_ends_the_client_at_once(conn):
    proxy = conn.proxy
    proxy.from_client(conn.client(flags="PA", payload=b"hello"))
    proxy.from_server(conn.server(got=5, flags="PA", payload=b"world!"))
    proxy.from_client(conn.client(sent=5, got=6))
    rst = conn.server(sent=6, got=5, flags="R", ack=0, tsval=None, tsecr=None)
    seen = proxy.from_server(rst).to_client
    assert (seen.flags, seen.seq) == ("R", wrap(conn.synack.seq + 1 + 6))   # RCV.NXT, exactly
    assert (proxy.connection.state, proxy.counters.conn_closed) == ("closed", 1)
    assert proxy.drops == {}


def test_g3_30_connections_over_20_ports_all_open(proxy, syn):
    for n in range(CONNECTIONS):
        opening = replace(syn, sport=syn.sport + n % PORTS, seq=wrap(syn.seq + 1000 * n))
        conn = Connection(proxy, opening).ask()         # a SYN never passes through an old entry
        out = proxy.from_client(conn.ack)
        *resets, conn.server_syn = to_server(out)
        assert len(out.sent) == len(resets) + 1
        assert [rst.flags for rst in resets] == (["R"] if n >= PORTS else [])
        assert (conn.server_syn.flags, conn.server_syn.seq) == ("S", opening.seq)
        assert len(proxy.from_server(conn.server_synack).both) == 2
        proxy.from_client(conn.client(flags="FA"))      # and vanishes
    assert (proxy.counters.server_established, proxy.counters.cookie_valid) == (30, 30)
    assert (proxy.counters.conn_reopened, proxy.counters.server_rst_sent) == (10, 10)
    assert proxy.gauges.connections == PORTS


def test_g4_a_syn_lost_on_its_way_to_the_server_is_sent_again_after_a_second(proxy, syn):
    conn = Connection(proxy, syn).prove()
    assert proxy.clock.advance(1).sent == []
    assert proxy.clock.advance(0.25).to_server == conn.server_syn
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    ask = conn.client(flags="PA", payload=b"ask")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    answer = conn.server(got=3, flags="PA", payload=b"answer")
    assert proxy.from_server(answer).to_client == conn.as_client_sees(answer)
    assert (proxy.counters.server_syn_retrans, proxy.counters.server_established) == (1, 1)
    assert proxy.clock.advance(70).sent == []


def test_g5_a_window_probe_stands_in_for_the_third_ack_that_was_lost(proxy, syn):
    conn = Connection(proxy, syn).ask()
    proxy.clock.advance(1)
    probe = replace(conn.ack, seq=syn.seq)              # one byte before, as a zero window's
    conn.server_syn = proxy.from_client(probe).to_server
    assert (conn.server_syn.flags, conn.server_syn.seq) == ("S", syn.seq)
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    ask = conn.client(flags="PA", payload=b"ask")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    assert (proxy.counters.cookie_valid, proxy.drops) == (1, {})


@pytest.mark.parametrize("mss", [1300, 1220, 536])
def test_g6_a_window_probe_brings_the_clients_own_mss_to_the_server(proxy, ts_syn, mss):
    conn = Connection(proxy, replace(ts_syn, mss=mss)).ask()
    assert proxy.from_client(replace(conn.ack, seq=ts_syn.seq)).to_server.mss == mss


@pytest.mark.parametrize("quoted", [8, 20, None], ids=["8-bytes", "header", "all"])
def test_g7_a_narrow_hop_before_the_client_is_heard_by_the_server(conn, quoted):
    proxy = conn.proxy
    wide = conn.server(flags="PA", payload=b"w" * 1400)
    seen = proxy.from_server(wide).to_client
    out = proxy.from_client(error_about(seen, "too-big", quoted))
    # Its own sequence number, where RFC 5927 §4.1 has it looked for, and the narrow MTU.
    assert out.to_server == error_about(replace(seen, seq=wide.seq), "too-big", quoted)
    narrow = conn.server(flags="PA", payload=b"w" * (NARROW_MTU - 72))
    assert proxy.from_server(narrow).to_client == conn.as_client_sees(narrow)
    assert (proxy.counters.translated, proxy.drops) == (3, {})


@pytest.mark.parametrize(("announced", "real", "said", "heard"), [
    (7, 10, 509, 4072), (10, 7, 4072, 509), (7, 0, 65535, 511), (0, 7, 509, 65152),
    (14, 2, 4095, 1), (7, 2, 0, 0),
])
def test_g8_a_servers_window_counts_the_same_bytes_under_the_scale_that_was_announced(
        syn, announced, real, said, heard):
    proxy = Proxy(service(wscale=announced))
    conn = Connection(proxy, syn, wscale=real).establish()
    assert conn.synack.wscale == announced
    assert proxy.from_server(conn.server(window=said)).to_client.window == heard
    assert proxy.drops == {}


def test_g9_a_client_without_timestamps_keeps_sack_and_window_scale(proxy, ts_syn):
    conn = Connection(proxy, plain(ts_syn)).establish()
    for said in (conn.synack, conn.server_syn):
        assert (said.tsval, said.sack_permitted, said.wscale) == (None, True, 7)
    block = wrap(conn.synack.seq + 101), wrap(conn.synack.seq + 201)
    seen = proxy.from_client(conn.client(window=1000, sack=(block,))).to_server
    assert seen.window == 1000
    assert seen.sack == ((wrap(conn.server_isn + 101), wrap(conn.server_isn + 201)),)


@pytest.mark.parametrize("mss", [1400, 1412])
def test_g10_the_server_is_told_the_clients_mss(proxy, ts_syn, mss):
    exact = Connection(proxy, replace(ts_syn, mss=mss)).prove()
    assert exact.server_syn.mss == mss
    near = Connection(Proxy(), replace(plain(ts_syn), mss=mss)).prove()
    assert 0.96 * mss <= near.server_syn.mss <= mss


@pytest.mark.parametrize("flags", ["FS", "SR", "FSR", "SRA", "FSA"])
def test_g11_a_syn_with_fin_rst_or_ack_is_dropped(proxy, syn, flags):
    assert proxy.from_client(replace(syn, flags=flags)).nothing == "flags_invalid"
    assert (proxy.counters.syn_received, proxy.drops) == (0, {"flags_invalid": 1})


@pytest.mark.parametrize("unknown_flow", ["forward", "drop", "reset"])
@pytest.mark.parametrize("payload", [b"", b"data"])
@pytest.mark.parametrize("flags", ["FA", "RA", "FRA"])
def test_g11_a_valid_cookie_with_fin_or_rst_opens_nothing(syn, flags, payload, unknown_flow):
    proxy = Proxy(service(unknown_flow=unknown_flow))
    conn = Connection(proxy, syn).ask()
    wrong = replace(conn.ack, flags=flags, payload=payload)
    assert proxy.from_client(wrong).nothing == "flags_invalid"
    assert proxy.drops == {"flags_invalid": 1}
    assert (proxy.counters.cookie_valid, proxy.counters.server_syn_sent) == (0, 0)
    assert proxy.gauges.connections == 0


def test_g12_a_challenge_ack_of_a_server_is_answered_by_a_reset_and_the_syn_again(proxy, syn):
    conn = Connection(proxy, syn).prove()
    challenge = conn.server(seq=77_000, ack=99_000)     # RFC 9293 §3.10.7.4, of its old connection
    rst, again = proxy.from_server(challenge).two_to_server
    assert (rst.flags, rst.seq, rst.ack) == ("R", challenge.ack, 0)
    assert again == conn.server_syn
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    ask = conn.client(flags="PA", payload=b"ask")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    assert (proxy.counters.server_challenged, proxy.counters.server_established) == (1, 1)


def test_g13_the_client_of_a_silent_server_is_reset_after_the_last_retry(syn):
    proxy = Proxy(service(syn_retries=3))
    conn = Connection(proxy, syn).prove()
    for wait_s in (1, 2, 4):
        assert proxy.clock.advance(wait_s).sent == []
        assert proxy.clock.advance(0.25).to_server == conn.server_syn
    assert proxy.clock.advance(8).sent == []
    rst = proxy.clock.advance(0.25).to_client
    assert (rst.flags, rst.seq) == ("RA", wrap(conn.synack.seq + 1))        # RCV.NXT, exactly
    assert rst.ack == wrap(syn.seq + 1)
    assert (proxy.counters.server_timeout, proxy.gauges.half_open) == (1, 0)


@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
def test_g15_an_ack_replayed_after_the_connection_opens_nothing(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    for _ in range(COOKIE_LIFE_S // 10):
        proxy.clock.leap(10)
        assert [segment.flags for segment in to_server(proxy.from_client(conn.ack))
                if "S" in segment.flags] == []
    assert (proxy.counters.cookie_valid, proxy.counters.server_syn_sent) == (1, 1)
