"""ICMP and ICMPv6 errors: each end is told about segments in the numbers that it has sent.

design/protocol §4, G7.  An error from the client's side quotes what we made of the server's
segment; one from the server's side quotes the client's own numbers already.  RFC 792, RFC 1191
§4, RFC 4443 §3, RFC 5927 §4.1 (why a quoted sequence number must be the receiver's own).
"""

import pytest
from scapy.layers.inet import IP
from scapy.layers.l2 import Ether

from .connection import STATES, SYN_IPV4, SYN_IPV6, Connection, wrap
from .harness import Proxy
from .icmp import HARD, error_about, kinds
from .segments import replace

SYN = {4: SYN_IPV4, 6: SYN_IPV6}
KINDS = [(family, kind) for family in (4, 6) for kind in kinds(family)]
FIXED = ("established", "half_closed", "time_wait", "closed")     # the offsets are known
TAGS = [(), ((0x8100, 42),), ((0x88A8, 7), (0x8100, 4094))]
TAG_IDS = ["untagged", "vlan", "qinq"]


def passes_untouched(proxy, frame, from_client):
    out = proxy.run([frame], from_client)
    assert (out.verdict, out.sent) == ("bridge", [(from_client, frame)])


def reaches_the_server_in_its_own_numbers(conn, seen, own_seq, kind, tcp_bytes=None):
    """`seen` is what the client's side saw, `own_seq` what the server had sent it as."""
    out = conn.proxy.from_client(error_about(seen, kind, tcp_bytes))
    assert out.verdict == "translate"
    # Built by scapy from the server's number, so that both checksums are judged as well.
    assert out.to_server == error_about(replace(seen, seq=own_seq), kind, tcp_bytes)


@pytest.mark.parametrize(("family", "kind"), KINDS)
@pytest.mark.parametrize("tags", TAGS, ids=TAG_IDS)
def test_an_error_about_a_servers_segment_quotes_the_servers_own_number(family, kind, tags):
    conn = Connection(Proxy(), replace(SYN[family], tags=tags)).establish()
    for payload in (b"", b"odd", b"x" * 900):
        segment = conn.server(payload=payload)
        seen = conn.proxy.from_server(segment).to_client
        reaches_the_server_in_its_own_numbers(conn, seen, segment.seq, kind)


@pytest.mark.parametrize("state", FIXED)
def test_it_does_so_in_each_state_and_changes_none(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    segment = conn.server(payload=b"x" * 99)
    seen = proxy.from_server(segment).to_client
    before = proxy.connection
    for kind in kinds(syn.family):
        reaches_the_server_in_its_own_numbers(conn, seen, segment.seq, kind)
    assert proxy.connection == before


@pytest.mark.parametrize("sent", [0, 1, 2, 2**31])
def test_the_quoted_number_may_lie_on_either_side_of_the_wrap(conn, sent):
    segment = conn.server(sent)
    seen = conn.as_client_sees(segment)
    reaches_the_server_in_its_own_numbers(conn, seen, segment.seq, "too-big")


@pytest.mark.parametrize("tcp_bytes", [8, 9, 12, 16, 18, 20, 33])
@pytest.mark.parametrize("kind", ["too-big", "exceeded"])
def test_an_error_may_quote_as_little_as_eight_bytes_of_tcp(conn, kind, tcp_bytes):
    segment = conn.server(payload=b"x" * 99)
    seen = conn.proxy.from_server(segment).to_client
    reaches_the_server_in_its_own_numbers(conn, seen, segment.seq, kind, tcp_bytes)


def test_a_quote_without_a_sequence_number_is_nobodys(conn):
    seen = conn.proxy.from_server(conn.server()).to_client
    frame = error_about(seen, "exceeded", 7)
    passes_untouched(conn.proxy, frame, True)


def test_an_error_about_our_synack_that_comes_late_is_about_the_servers(conn):
    reaches_the_server_in_its_own_numbers(conn, conn.synack, conn.server_isn, "too-big")


@pytest.mark.parametrize("state", ["none", "syn_sent", "refused"])
def test_an_error_about_our_own_synack_passes_untouched(proxy, syn, state):
    conn = Connection(proxy, syn)
    if state == "none":
        conn.ask()
    else:
        conn.bring_to(state)
    for kind in kinds(syn.family):
        passes_untouched(proxy, error_about(conn.synack, kind), True)


@pytest.mark.parametrize("state", STATES)
def test_an_error_from_the_servers_side_quotes_the_clients_own_number_already(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    segment = conn.client(payload=b"x" * 99)
    if state in FIXED:
        segment = proxy.from_client(segment).to_server
    before = proxy.connection
    for kind in kinds(syn.family):
        passes_untouched(proxy, error_about(segment, kind), False)
        if state != "syn_sent" or kind not in HARD:
            passes_untouched(proxy, error_about(conn.server_syn, kind, 8), False)
    assert proxy.connection == before


@pytest.mark.parametrize(("family", "kind"), [case for case in KINDS if case[1] in HARD])
@pytest.mark.parametrize("tags", TAGS, ids=TAG_IDS)
@pytest.mark.parametrize("tcp_bytes", [8, None])
def test_a_hard_error_about_our_syn_is_told_to_the_client_at_once(family, kind, tags, tcp_bytes):
    """RFC 1122 §4.2.3.9: it aborts; a client without a proxy would hear of it in SYN-SENT."""
    proxy = Proxy()
    conn = Connection(proxy, replace(SYN[family], tags=tags)).prove()
    rst = proxy.from_server(error_about(conn.server_syn, kind, tcp_bytes)).to_client
    assert (rst.flags, rst.seq, rst.tags) == ("RA", wrap(conn.synack.seq + 1), tags)
    assert (rst.destination_mac, rst.source_mac) == (
        conn.syn.source_mac, conn.syn.destination_mac)
    assert (proxy.connection.state, proxy.gauges.half_open) == ("refused", 0)
    assert proxy.counters.server_unreachable == 1
    assert proxy.clock.advance(3).sent == []


@pytest.mark.parametrize("off", [1, -1, 2**31])
def test_a_hard_error_about_another_syn_of_these_ports_passes(proxy, syn, off):
    conn = Connection(proxy, syn).prove()
    stale = replace(conn.server_syn, seq=wrap(conn.server_syn.seq + off))
    passes_untouched(proxy, error_about(stale, "port-unreachable"), False)
    assert (proxy.connection.state, proxy.gauges.half_open) == ("syn_sent", 1)


def test_an_error_whose_checksum_is_wrong_stays_so(conn):
    segment = conn.server(payload=b"x" * 99)
    seen = conn.proxy.from_server(segment).to_client
    good, at = error_about(seen, "too-big"), 36 if seen.family == 4 else 56
    bad = good[:at] + bytes([good[at] ^ 0x10]) + good[at + 1:]
    out = conn.proxy.from_client(bad).to_server
    right = error_about(replace(seen, seq=segment.seq), "too-big")
    assert out != right
    assert out[:at] + out[at + 2:] == right[:at] + right[at + 2:]


def test_an_error_about_a_connection_of_the_servers_own_passes(proxy, syn):
    opening = replace(syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    proxy.from_server(opening)
    for kind in kinds(syn.family):
        frame = error_about(opening, kind)
        assert proxy.from_client(frame).to_server == frame


def test_an_error_from_an_impossible_source_is_dropped(conn):
    seen = conn.proxy.from_server(conn.server()).to_client
    frame = error_about(seen, "exceeded")
    if seen.family == 4:
        packet = Ether(frame)
        packet[IP].src = "127.0.0.1"
        del packet[IP].chksum
        frame = bytes(packet)
    else:
        frame = frame[:22] + bytes(16) + frame[38:]
    assert conn.proxy.run([frame], True).nothing == "martian"
