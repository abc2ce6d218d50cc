"""The life of a connection: every number of every segment, in both directions.

Compared with a model of its own that works on bytes and sums each segment anew.
design/protocol §1 step 4, G8; RFC 7323 §2.2, §3.2; RFC 2018 §3; RFC 1624.
"""

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

from .connection import CLIENT_ISN, SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import Proxy, service
from .segments import replace

# The model.

WIRE = {4: (14 + 20, slice(26, 34)), 6: (14 + 40, slice(22, 54))}


def ones_complement(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def tcp_sum(frame: bytes, family: int) -> int:
    at, addresses = WIRE[family]
    end = 14 + struct.unpack("!H", frame[16:18])[0] if family == 4 else at + struct.unpack(
        "!H", frame[18:20])[0]
    tcp = frame[at:end]
    return ones_complement(frame[addresses] + struct.pack("!II", len(tcp), 6) + tcp)


def add32(frame: bytearray, at: int, by: int) -> None:
    struct.pack_into("!I", frame, at, (struct.unpack_from("!I", frame, at)[0] + by) % 2**32)


def options_of(frame, at):
    """(kind, offset in the frame) of each option."""
    end, here = at + 4 * (frame[at + 12] >> 4), at + 20
    while here < end and frame[here] != 0:
        if frame[here] == 1:
            here += 1
            continue
        yield frame[here], here
        here += frame[here + 1]


def model(frame: bytes, family: int, to_server: bool, seq_offset: int, ts_offset: int) -> bytes:
    """The frame translated, its TCP checksum 0."""
    out = bytearray(frame)
    at, _ = WIRE[family]
    ack, rst = out[at + 13] & 0x10, out[at + 13] & 0x04
    if not to_server:
        add32(out, at + 4, seq_offset)
    elif ack:
        add32(out, at + 8, -seq_offset)
    for kind, here in list(options_of(out, at)):
        if kind == 8 and not to_server:
            add32(out, here + 2, -ts_offset)
        elif kind == 8 and ack and not (rst and out[here + 6:here + 10] == bytes(4)):
            add32(out, here + 6, ts_offset)
        elif kind == 5 and to_server:
            for edge in range(here + 2, here + out[here + 1], 4):
                add32(out, edge, -seq_offset)
    out[at + 16:at + 18] = bytes(2)
    return bytes(out)


def raw(conn, from_client, flags="A", seq=0, ack=0, window=100, options=(), payload=b"", urgent=0):
    """A frame with options in scapy's form, in whatever order and alignment."""
    a, b = conn.syn, conn.server_syn
    source, destination, sport, dport = (
        (a.source, a.destination, a.sport, a.dport) if from_client
        else (b.destination, b.source, b.dport, b.sport))
    ip = (IP(src=source, dst=destination) if a.family == 4
          else IPv6(src=source, dst=destination))
    tcp = TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=window,
              options=list(options), urgptr=urgent)
    return bytes(Ether(src="02:00:00:00:00:05", dst="02:00:00:00:00:06") / ip / tcp / payload)


def assert_translated(conn, frame, from_client):
    """One burst of one frame: it comes out as the model has it, and its checksum is right."""
    verdicts, sent = conn.proxy.box.run([frame], from_client)
    conn.proxy.sent += len(sent)
    conn.proxy.check_books()
    assert verdicts == ["translate"]
    [(to_server, out)] = sent
    assert to_server == from_client
    family = conn.syn.family
    at, _ = WIRE[family]
    ts_offset = conn.ts_offset if conn.timestamps else 0
    expected = model(frame, family, from_client, conn.seq_offset, ts_offset)
    assert out[:at + 16] + bytes(2) + out[at + 18:] == expected
    assert tcp_sum(out, family) == 0xFFFF


# Examples.

def test_a_clients_data_keeps_its_numbers_and_its_acks_move(conn):
    data = conn.client(flags="PA", payload=b"GET / HTTP/1.1\r\n\r\n")
    out = conn.proxy.from_client(data)
    assert (out.verdict, out.to_server) == ("translate", conn.as_server_sees(data))
    assert conn.proxy.counters.translated == 1


def test_a_servers_data_moves_and_its_acks_keep_their_numbers(conn):
    data = conn.server(got=18, flags="PA", payload=b"HTTP/1.1 200 OK\r\n\r\n")
    out = conn.proxy.from_server(data)
    assert (out.verdict, out.to_client) == ("translate", conn.as_client_sees(data))


def test_both_ends_talk_across_the_wrap_of_all_their_numbers(conn):
    sent = got = 0
    for turn in range(10):
        ask = conn.client(sent, got, flags="PA", payload=b"q" * 3)
        assert conn.proxy.from_client(ask).to_server == conn.as_server_sees(ask)
        sent += 3
        answer = conn.server(got, sent, flags="PA", payload=b"a" * (turn + 1))
        assert conn.proxy.from_server(answer).to_client == conn.as_client_sees(answer)
        got += turn + 1
    assert wrap(CLIENT_ISN + 1 + sent) < CLIENT_ISN
    assert conn.proxy.connection.state == "established"


@pytest.mark.parametrize("server_isn", [0, 1, 2**31 - 1, 2**31, 2**32 - 1])
@pytest.mark.parametrize("server_tsval", [0, 2**31, 2**32 - 1])
def test_wherever_a_server_begins_the_client_sees_our_numbers(syn, server_isn, server_tsval):
    conn = Connection(Proxy(), syn, server_isn, server_tsval).establish()
    for sent in (0, 1, 2**31 - 20000):
        data = conn.server(sent, payload=b"x")
        seen = conn.proxy.from_server(data).to_client
        assert seen.seq == wrap(conn.synack.seq + 1 + sent)
        if conn.timestamps:
            assert seen.tsval == wrap(conn.synack.tsval + 30)


@pytest.mark.parametrize("gap_to_wrap", [-1, 0, 1])
def test_offsets_of_zero_and_beside_it_leave_the_checksum_right(ts_syn, gap_to_wrap):
    proxy = Proxy()
    probe = Connection(proxy, ts_syn).ask()
    conn = Connection(proxy, ts_syn, probe.synack.seq + gap_to_wrap,
                      probe.synack.tsval + gap_to_wrap).establish()
    for from_client in (True, False):
        for payload in (b"", b"x", b"\xff\xff"):
            segment = (conn.client if from_client else conn.server)(payload=payload)
            assert_translated(conn, segment.frame(), from_client)


def test_every_sack_edge_of_the_client_counts_the_servers_bytes(conn):
    first = conn.synack.seq + 1
    blocks = tuple((wrap(first + n), wrap(first + n + 50)) for n in (100, 2**16, 2**20))
    ack = conn.client(sack=blocks)
    if not conn.timestamps:
        ack = replace(ack, sack=(*blocks, (wrap(first - 9), wrap(first - 2))))
    assert conn.proxy.from_client(ack).to_server == conn.as_server_sees(ack)


def test_sack_edges_of_the_server_count_the_clients_bytes_and_stay(conn):
    ack = conn.server(sack=((CLIENT_ISN, 5), (9, 12)))
    assert conn.proxy.from_server(ack).to_client == conn.as_client_sees(ack)


NOP = ("NOP", None)
TS = ("Timestamp", (0xDEADBEEF, 0x12345678))
SACK = ("SAck", (0xFFFFFFFE, 3, 0x80000000, 0x80000005))


@pytest.mark.parametrize("options", [
    (TS,), (NOP, TS), (NOP, NOP, NOP, TS), (TS, SACK), (SACK, TS), (NOP, SACK, TS),
    (NOP, TS, NOP, SACK), (TS, NOP, SACK), (NOP, SACK), (SACK,), (NOP, NOP, SACK, NOP, TS),
    (("EOL", None), TS), ((254, b"odd"), TS, (253, b""), SACK),
], ids=str)
@pytest.mark.parametrize("from_client", [True, False], ids=["to-server", "to-client"])
def test_options_are_translated_at_every_alignment(ts_syn, options, from_client):
    conn = Connection(Proxy(), ts_syn).establish()
    frame = raw(conn, from_client, options=options, payload=b"odd")
    assert_translated(conn, frame, from_client)


def test_a_reset_without_ack_keeps_its_zero_ack(conn):
    rst = conn.client(flags="R", ack=0, tsval=None, tsecr=None, window=0)
    assert conn.proxy.from_client(rst).to_server == rst


def test_a_reset_with_tsecr_0_keeps_it(proxy, ts_syn):
    conn = Connection(proxy, ts_syn).establish()
    rst = conn.client(flags="RA", tsecr=0)
    assert proxy.from_client(rst).to_server == replace(conn.as_server_sees(rst), tsecr=0)


def test_urgent_data_and_congestion_marks_pass(conn):
    data = conn.client(flags="PAUEC", urgent=3, payload=b"abc", tos=0x02)
    assert conn.proxy.from_client(data).to_server == conn.as_server_sees(data)


@pytest.mark.parametrize("from_client", [True, False], ids=["from-client", "from-server"])
def test_a_segment_with_a_wrong_checksum_is_dropped_and_changes_nothing(conn, from_client):
    segment = (conn.client if from_client else conn.server)(flags="FA", payload=b"x" * 30)
    frame = bytearray(segment.frame())
    frame[-1] ^= 1
    assert conn.proxy.run([bytes(frame)], from_client).nothing == "tcp_checksum"
    assert conn.proxy.connection.state == "established"


@pytest.mark.parametrize("from_client", [True, False], ids=["from-client", "from-server"])
def test_frames_keep_their_padding_tags_and_hop_limit(proxy, syn, from_client):
    conn = Connection(proxy, replace(syn, tags=((0x88A8, 5), (0x8100, 6)))).establish()
    segment = (conn.client if from_client else conn.server)(hop_limit=3, tos=0x2E)
    frame = segment.frame() + b"trailer"
    _, [(_, out)] = proxy.box.run([frame], from_client)
    proxy.sent += 1
    assert (len(out), out[-7:]) == (len(frame), b"trailer")


# Windows.

@pytest.mark.parametrize(("client", "server", "sent", "seen"), [
    (7, 7, 502, 502), (0, 7, 502, 502), (14, 7, 1, 1),  # our SYN carries the client's own scale
    (7, None, 502, 64256), (7, None, 513, 65535), (7, None, 0, 0), (None, None, 8192, 8192),
])
def test_a_clients_window_means_the_same_to_the_server(ts_syn, client, server, sent, seen):
    conn = Connection(Proxy(), replace(ts_syn, wscale=client), wscale=server).establish()
    assert conn.proxy.from_client(conn.client(window=sent)).to_server.window == seen


@pytest.mark.parametrize(("announced", "server", "sent", "seen"), [
    (7, 7, 509, 509), (7, 2, 65535, 2047), (7, 2, 31, 1), (7, 2, 0, 0), (2, 7, 100, 3200),
    (2, 7, 65535, 65535), (7, None, 65535, 511), (7, None, 100, 1), (0, 14, 1, 16384),
    (14, 0, 65535, 3), (14, 0, 1, 1),
])
def test_a_servers_window_means_the_same_to_the_client(syn, announced, server, sent, seen):
    conn = Connection(Proxy(service(wscale=announced)), syn, wscale=server).establish()
    assert conn.proxy.from_server(conn.server(window=sent)).to_client.window == seen


def test_without_a_scale_of_the_client_no_window_is_touched(ts_syn):
    conn = Connection(Proxy(), replace(ts_syn, wscale=None)).establish()
    assert conn.proxy.from_client(conn.client(window=4321)).to_server.window == 4321
    assert conn.proxy.from_server(conn.server(window=1234)).to_client.window == 1234


@pytest.mark.parametrize(("offered", "kept"), [(9, 8), (14, 10)])
def test_a_scale_that_was_rounded_down_opens_no_window_too_far(offered, kept):
    conn = Connection(Proxy(), replace(plain(SYN_IPV4), wscale=offered)).establish()
    assert conn.server_syn.wscale == kept
    seen = conn.proxy.from_client(conn.client(window=300)).to_server.window
    assert 0 < seen << kept <= 300 << offered


# Properties.

U32 = st.one_of(st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 2**31, 2**32 - 1]))
PIECES = st.lists(st.one_of(
    st.just(NOP),
    st.tuples(st.just("Timestamp"), st.tuples(U32, U32)),
    st.lists(U32, min_size=2, max_size=4).filter(lambda edges: len(edges) % 2 == 0).map(
        lambda edges: ("SAck", tuple(edges))),
    st.tuples(st.sampled_from([253, 254]), st.binary(max_size=5)),
), max_size=4)


def possible(pieces):
    """At most 40 bytes; timestamps and SACK may come twice, and each is translated."""
    octets = sum(
        1 if kind == "NOP" else 10 if kind == "Timestamp"
        else 2 + len(value) * (4 if kind == "SAck" else 1)
        for kind, value in pieces)
    return octets <= 40


@pytest.fixture(scope="module", params=[SYN_IPV4, SYN_IPV6], ids=["ipv4", "ipv6"])
def lasting(request):
    """One connection for many segments; a server with the announced scale."""
    return Connection(Proxy(), request.param).establish()


@settings(max_examples=250)
@given(
    from_client=st.booleans(), flags=st.sampled_from(["A", "PA", "AU", "AE"]), seq=U32, ack=U32,
    window=st.integers(0, 65535), options=PIECES.filter(possible), payload=st.binary(max_size=70),
    urgent=st.integers(0, 65535),
)
def test_any_segment_comes_out_as_the_model_has_it(
        lasting, from_client, flags, seq, ack, window, options, payload, urgent):
    frame = raw(lasting, from_client, flags, seq, ack, window, options, payload, urgent)
    assert_translated(lasting, frame, from_client)


@settings(max_examples=200)
@given(target=st.sampled_from([0x0000, 0xFFFF, 0x0001, 0xFFFE]), from_client=st.booleans(),
       seq=U32, ack=U32)
def test_a_checksum_near_either_zero_stays_right(lasting, target, from_client, seq, ack):
    """The last two bytes of payload steer the received checksum to a corner."""
    frame = bytearray(raw(lasting, from_client, seq=seq, ack=ack, options=(NOP, NOP, TS),
                          payload=b"ab" + bytes(2)))
    at, _ = WIRE[lasting.syn.family]
    struct.pack_into("!H", frame, at + 16, target)
    missing = 0xFFFF - tcp_sum(bytes(frame), lasting.syn.family)
    struct.pack_into("!H", frame, len(frame) - 2, missing)
    assert tcp_sum(bytes(frame), lasting.syn.family) == 0xFFFF
    assert_translated(lasting, bytes(frame), from_client)
