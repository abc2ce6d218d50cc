"""Challenge ACKs: what an end says to a SYN or RST that it doubts, in each state.

<SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>, RFC 5961 §3.2 and §4.2.  The proxy is one end itself while
its SYN waits for the server (RFC 9293 §3.10.7.3); else challenges pass as any ACK does.
"""

import pytest

from .connection import STATES, Connection, wrap
from .harness import service
from .segments import replace

PASSING = ("established", "half_closed", "time_wait", "closed")
# SND.NXT of the client, then of the server, less one more than its ISN.
SENT = {"half_closed": (1, 0), "time_wait": (1, 1)}


def brought(proxy, syn, state):
    """The connection, and what its ends would challenge with."""
    conn = Connection(proxy, syn).bring_to(state)
    client_sent, server_sent = SENT.get(state, (0, 0))
    return (conn, conn.client(client_sent, server_sent), conn.server(server_sent, client_sent))


# Of the client's stack.

@pytest.mark.parametrize("state", STATES)
def test_a_spoofed_syn_reaches_no_server_and_touches_no_connection(proxy, syn, state):
    Connection(proxy, syn).bring_to(state)
    before, gauges = proxy.connection, proxy.gauges
    for seq in (syn.seq, wrap(syn.seq + 1), wrap(syn.seq + 2**31)):
        synack = proxy.from_client(replace(syn, seq=seq)).to_client
        assert (synack.flags, synack.ack) == ("SA", wrap(seq + 1))
    assert (proxy.connection, proxy.gauges) == (before, gauges)
    assert proxy.counters.server_syn_sent == 1


@pytest.mark.parametrize("state", PASSING)
def test_the_clients_challenge_to_our_synack_passes_as_any_ack(proxy, syn, state):
    conn, challenge, _ = brought(proxy, syn, state)
    proxy.from_client(replace(syn, seq=wrap(syn.seq + 77)))
    assert proxy.from_client(challenge).to_server == conn.as_server_sees(challenge)
    assert proxy.connection.state == state
    assert (proxy.counters.conn_reopened, proxy.drops) == (0, {})


def test_the_clients_challenge_while_the_server_is_awaited_ends_here(proxy, syn):
    _, challenge, _ = brought(proxy, syn, "syn_sent")
    proxy.from_client(replace(syn, seq=wrap(syn.seq + 77)))
    assert proxy.from_client(challenge).nothing == "absorb"
    assert (proxy.connection.state, proxy.gauges.half_open) == ("syn_sent", 1)


@pytest.mark.parametrize("state", ["established", "half_closed", "time_wait"])
def test_the_client_challenges_a_reset_in_its_window_and_the_connection_lives(proxy, syn, state):
    conn, challenge, _ = brought(proxy, syn, state)
    rst = conn.server(sent=1000, flags="R", ack=0, tsval=None, tsecr=None)
    assert proxy.from_server(rst).to_client == conn.as_client_sees(rst)
    assert proxy.connection.rst_doubtful
    assert proxy.from_client(challenge).to_server == conn.as_server_sees(challenge)
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == (state, False)


def test_a_server_that_has_really_gone_resets_the_challenge_exactly(conn):
    proxy = conn.proxy
    proxy.from_server(conn.server(sent=1000, flags="R", ack=0, tsval=None, tsecr=None))
    asked = proxy.from_client(conn.client()).to_server
    # RFC 9293 §3.10.7.1: from CLOSED, SEQ is what the challenge had acknowledged.
    rst = conn.server(flags="R", seq=asked.ack, ack=0, tsval=None, tsecr=None)
    assert proxy.from_server(rst).to_client.seq == wrap(conn.synack.seq + 1)
    assert proxy.connection.state == "closed"


# Of the server's.

@pytest.mark.parametrize("state", PASSING)
def test_the_servers_challenge_passes_as_any_ack(proxy, syn, state):
    conn, _, challenge = brought(proxy, syn, state)
    assert proxy.from_server(challenge).to_client == conn.as_client_sees(challenge)
    assert proxy.connection.state == state
    assert (proxy.counters.server_challenged, proxy.drops) == (0, {})


@pytest.mark.parametrize("state", ["established", "half_closed", "time_wait"])
def test_the_server_challenges_a_reset_in_its_window_and_the_connection_lives(proxy, syn, state):
    conn, _, challenge = brought(proxy, syn, state)
    spoofed = conn.client(sent=1000, flags="R", ack=0, tsval=None, tsecr=None)
    assert proxy.from_client(spoofed).to_server == spoofed
    assert proxy.connection.rst_doubtful
    assert proxy.from_server(challenge).to_client == conn.as_client_sees(challenge)
    assert (proxy.connection.state, proxy.connection.rst_doubtful) == (state, False)


@pytest.mark.parametrize("off", [0, 2, 1000, 2**31, -1, -2**31])
def test_any_wrong_ack_while_the_server_is_awaited_is_answered_by_a_reset(proxy, syn, off):
    conn, _, _ = brought(proxy, syn, "syn_sent")
    challenge = conn.server(seq=4_000_000_000, ack=wrap(syn.seq + off))
    rst, again = proxy.from_server(challenge).two_to_server
    assert (rst.flags, rst.seq, rst.ack, rst.tsval) == ("R", challenge.ack, 0, None)
    assert again == conn.server_syn
    assert (proxy.connection.state, proxy.counters.server_challenged) == ("syn_sent", 1)


def test_an_old_connection_at_the_server_gives_way_to_the_new_one_though_its_reset_was_lost(
        proxy, syn):
    old = Connection(proxy, syn).establish()
    proxy.from_client(old.client(flags="PA", payload=b"x" * 700))
    new = old.anew()
    _lost, new.server_syn = proxy.from_client(new.ack).two_to_server
    challenge = old.server(got=700)
    rst, again = proxy.from_server(challenge).two_to_server
    assert (rst.flags, rst.seq) == ("R", wrap(syn.seq + 1 + 700))       # its RCV.NXT, exactly
    assert again == new.server_syn
    new.window_update, new.server_ack = proxy.from_server(new.server_synack).both
    ask, answer = new.client(payload=b"ask"), new.server(got=3, payload=b"answer")
    assert proxy.from_client(ask).to_server == new.as_server_sees(ask)
    assert proxy.from_server(answer).to_client == new.as_client_sees(answer)


def test_a_server_that_challenges_for_ever_ends_as_a_silent_one(proxy, syn):
    proxy.publish(service(syn_retries=2))
    conn = Connection(proxy, syn).prove()
    challenge = conn.server(seq=77_000, ack=99_000)
    while proxy.gauges.half_open:
        proxy.from_server(challenge)
        out = proxy.clock.advance(0.25)
    assert out.to_client.flags == "RA"
    assert (proxy.counters.server_syn_retrans, proxy.counters.server_timeout) == (2, 1)


@pytest.mark.parametrize("flags", ["A", "FA", "PA"])
def test_a_server_whose_client_was_refused_is_heard_by_nobody(proxy, syn, flags):
    conn, _, _ = brought(proxy, syn, "refused")
    assert proxy.from_server(conn.server(flags=flags)).nothing == "no_connection"
    assert proxy.connection.state == "refused"
