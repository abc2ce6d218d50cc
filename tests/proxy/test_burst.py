"""A burst is its frames one after the other: the stages change nothing.

design/architecture "The way of a packet": up to 64 frames, one direction.
"""

import random

import pytest

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain
from .harness import Proxy
from .segments import replace

BURST = 64


def client(n: int):
    """Families and options in turn."""
    syn = (SYN_IPV4, SYN_IPV6, plain(SYN_IPV4), plain(SYN_IPV6))[n % 4]
    return replace(syn, sport=1024 + n, seq=n * 7919)


def world():
    """A proxy with connections in every state, and what may come next from either side."""
    proxy = Proxy()
    states = ("none", "syn_sent", "established", "half_closed", "time_wait", "closed", "refused")
    conns = []
    for n in range(28):
        conn = Connection(proxy, client(n), server_isn=n * 104729)
        if states[n % 7] == "none":
            conn.ask()
            conn.server_syn = conn.syn
        else:
            conn.bring_to(states[n % 7])
        conns.append(conn)
    return proxy, conns


def from_client(conn):
    return [
        conn.syn, conn.ack, conn.client(flags="PA", payload=b"data"), conn.client(flags="FA"),
        conn.client(flags="R", ack=0), conn.client(flags="FSRA"), conn.client(ack=5),
        replace(conn.syn, dport=81), replace(conn.syn, seq=5), conn.client()
    ]


def from_server(conn):
    synack = replace(conn.server_synack)
    return [
        synack, conn.server(), conn.server(flags="PA", payload=b"data"), conn.server(flags="FA"),
        conn.server(flags="RA"), conn.server(flags="FS"), conn.server(seq=1, ack=2),
        replace(synack, sport=81), synack,
    ]


def run(proxy, frames, side, at_once):
    out = []
    bursts = [frames] if at_once else [[frame] for frame in frames]
    verdicts = []
    for burst in bursts:
        said, sent = proxy.box.run(burst, side)
        verdicts += said
        out += sent
        proxy.sent += len(sent)
    proxy.check_books()
    return verdicts, sorted(out)


@pytest.mark.parametrize("side", [True, False], ids=["from-client", "from-server"])
@pytest.mark.parametrize("seed", range(6))
def test_a_burst_does_what_its_frames_do_one_by_one(seed, side):
    rng = random.Random(seed)
    (together, conns), (apart, _) = world(), world()
    says = from_client if side else from_server
    choices = [segment for conn in conns for segment in says(conn)]
    frames = [segment.frame() for segment in rng.choices(choices, k=BURST - 4)]
    frames += [b"\xff" * 60, frames[0][:30], b"", frames[1][:-1]]
    rng.shuffle(frames)
    assert run(together, frames, side, True) == run(apart, frames, side, False)
    assert together.box.counters() == apart.box.counters()
    assert together.box.connections() == apart.box.connections()
    assert together.gauges == apart.gauges


@pytest.mark.parametrize("count", [0, 1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64])
def test_a_burst_of_any_length_answers_each_syn_as_if_it_were_alone(count):
    syns = [client(n) for n in range(count)]
    out = Proxy().from_client(*syns)
    alone = Proxy()
    assert out.sent == [(False, alone.from_client(syn).to_client) for syn in syns]
    assert out.verdicts == ["to_client"] * count


def test_cookies_made_in_one_burst_are_good_in_the_next(proxy):
    conns = [Connection(proxy, client(n)) for n in range(BURST)]
    out = proxy.from_client(*(conn.syn for conn in conns))
    for conn, (_, synack) in zip(conns, out.sent, strict=True):
        conn.synack = synack
    out = proxy.from_client(*(conn.ack for conn in conns))
    assert [segment.flags for _, segment in out.sent] == ["S"] * BURST
    for conn, (_, server_syn) in zip(conns, out.sent, strict=True):
        conn.server_syn = server_syn
    out = proxy.from_server(*(conn.server_synack for conn in conns))
    assert len(out.sent) == 2 * BURST
    assert proxy.counters.server_established == BURST


def test_a_third_ack_and_its_copies_in_one_burst_open_one_connection(proxy, syn):
    conn = Connection(proxy, syn).ask()
    out = proxy.from_client(conn.ack, conn.ack, conn.client(payload=b"early"), conn.ack)
    assert out.verdicts == ["to_server", "absorb", "server_not_ready", "absorb"]
    assert out.to_server.flags == "S"
    assert proxy.gauges.connections == 1


def test_a_synack_and_the_servers_first_data_in_one_burst(proxy, syn):
    conn = Connection(proxy, syn).prove()
    banner = conn.server(flags="PA", payload=b"220 hello\r\n")
    out = proxy.from_server(conn.server_synack, banner)
    (_, ack), (_, update), (_, data) = out.sent
    assert (ack.flags, update.flags) == ("A", "A")
    assert data == conn.as_client_sees(banner)


def test_an_old_connection_and_its_successor_in_one_burst(proxy, syn):
    conn = Connection(proxy, syn).establish()
    new = conn.anew()
    out = proxy.from_client(conn.client(payload=b"old"), new.ack, conn.client(9, payload=b"late"))
    assert out.verdicts == ["translate", "to_server", "cookie_invalid"]
    assert [(segment.flags, segment.payload) for _, segment in out.sent] == [
        ("R", b""), ("A", b"old"), ("S", b"")]


def test_spare_frames_that_run_out_within_a_burst_are_told_frame_by_frame(proxy):
    conns = [Connection(proxy, client(n)).prove() for n in range(8)]
    proxy.box.spare_frames(5)
    out = proxy.from_server(*(conn.server_synack for conn in conns))
    assert out.verdicts == ["to_client"] * 5 + ["no_buffer"] * 3
    out = proxy.from_server(*(conn.server_synack for conn in conns[5:]))
    assert out.verdicts == ["to_client"] * 3
    assert proxy.counters.no_buffer == 3
