"""The same ports again: by a client in each state, and by a server.

RFC 9293 §3.10.7.4 (a SYN to TIME-WAIT), RFC 6191 (timestamps there); design/protocol G3: a SYN
never passes through an old entry, and a valid cookie replaces it.  What becomes of the old
server side stands in test_close.
"""

import pytest

from .connection import STATES, SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import Proxy
from .segments import replace

PAIRS = [(old, new) for template in (SYN_IPV4, SYN_IPV6)
         for old in (template, plain(template)) for new in (template, plain(template))]
PAIR_IDS = [f"ipv{old.family}-{'ts' if old.tsval is not None else 'plain'}-then-"
            f"{'ts' if new.tsval is not None else 'plain'}" for old, new in PAIRS]
ISNS = [1_000_000, 2**31 + 5, 2**32 - 1]


def reopened(proxy, syn, isn, **synack):
    """Another handshake of the same ports, done in full."""
    new = Connection(proxy, replace(syn, seq=isn), server_isn=88_888, server_tsval=77, **synack)
    new.ask()
    *_, (to_server, new.server_syn) = proxy.from_client(new.ack).sent
    assert (to_server, new.server_syn.flags, new.server_syn.seq) == (True, "S", isn)
    new.window_update, new.server_ack = proxy.from_server(new.server_synack).both
    return new


def assert_lives_by_its_own_numbers(conn):
    ask, answer = conn.client(flags="PA", payload=b"ask"), conn.server(got=3, payload=b"answer")
    assert conn.proxy.from_client(ask).to_server == conn.as_server_sees(ask)
    assert conn.proxy.from_server(answer).to_client == conn.as_client_sees(answer)


@pytest.mark.parametrize("isn", ISNS)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize(("old", "new"), PAIRS, ids=PAIR_IDS)
def test_a_client_uses_its_ports_again_in_each_state(old, new, state, isn):
    proxy = Proxy()
    Connection(proxy, old).bring_to(state)
    again = reopened(proxy, new, isn)
    assert proxy.connection.timestamps == (new.tsval is not None)
    assert_lives_by_its_own_numbers(again)
    assert (proxy.counters.conn_reopened, proxy.gauges.connections) == (1, 1)


@pytest.mark.parametrize("state", ["established", "time_wait", "closed"])
def test_what_was_learned_of_the_old_scales_is_forgotten(proxy, ts_syn, state):
    Connection(proxy, ts_syn, wscale=2).bring_to(state)
    again = reopened(proxy, replace(ts_syn, wscale=3), 1_000_000)
    assert proxy.from_server(again.server(window=509)).to_client.window == 509
    assert proxy.from_client(again.client(window=100)).to_server.window == 100


@pytest.mark.parametrize("state", STATES)
def test_a_client_that_asks_and_never_proves_changes_nothing(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    before = proxy.connection
    for isn in ISNS:
        out = proxy.from_client(replace(syn, seq=isn))
        assert out.to_client.flags == "SA"
    assert proxy.connection == before
    if state == "established":
        assert_lives_by_its_own_numbers(conn)


@pytest.mark.parametrize("state", ["established", "half_closed"])
def test_the_old_connection_goes_on_where_the_new_proof_is_wrong(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    new = conn.anew()
    forged = replace(new.ack, ack=wrap(new.ack.ack + 1))
    assert proxy.from_client(forged).to_server == conn.as_server_sees(forged)
    assert (proxy.connection.state, proxy.counters.conn_reopened) == (state, 0)
    ask = conn.client(1 if state == "half_closed" else 0, payload=b"")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)


def test_ports_may_be_used_again_and_again_within_a_second(proxy, syn):
    for n in range(20):
        conn = reopened(proxy, syn, 64_000 * n)
        assert_lives_by_its_own_numbers(conn)
        if n % 2:
            proxy.from_client(conn.client(sent=3, flags="R", ack=0, tsval=None, tsecr=None))
    assert (proxy.counters.server_established, proxy.gauges.connections) == (20, 1)


# A server that has forgotten, or begins itself.

def test_a_server_that_has_forgotten_the_connection_resets_it_in_the_clients_numbers(conn):
    ask = conn.client(got=500, flags="PA", payload=b"are you there")
    seen = conn.proxy.from_client(ask).to_server
    rst = conn.server(flags="R", seq=seen.ack, ack=0, tsval=None, tsecr=None)
    told = conn.proxy.from_server(rst).to_client
    assert told.seq == ask.ack                  # RCV.NXT of the client, exactly
    again = reopened(conn.proxy, conn.syn, 1_000_000)
    assert_lives_by_its_own_numbers(again)


def test_a_server_answers_the_new_syn_with_an_isn_that_its_old_window_holds(proxy, syn):
    Connection(proxy, syn).bring_to("time_wait")
    new = Connection(proxy, replace(syn, seq=wrap(syn.seq + 2)), server_isn=500).ask()
    *_, (_, new.server_syn) = proxy.from_client(new.ack).sent
    new.window_update, new.server_ack = proxy.from_server(new.server_synack).both
    assert_lives_by_its_own_numbers(new)


@pytest.mark.parametrize("state", ["syn_sent", "established", "half_closed"])
def test_a_servers_syn_to_ports_that_are_in_use_disturbs_nobody(proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    before = proxy.connection
    assert proxy.from_server(conn.server(flags="S", ack=0)).nothing == "flags_invalid"
    assert proxy.connection == before


@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
def test_a_server_may_open_from_ports_that_are_free_again_and_after_it_a_client(
        proxy, syn, state):
    conn = Connection(proxy, syn).bring_to(state)
    opening = conn.server(flags="S", seq=9_000, ack=0)
    assert proxy.from_server(opening).to_client == opening
    for flags in ("SA", "FA", "A"):
        back = conn.client(flags=flags, seq=5_000, ack=9_001)
        assert proxy.from_client(back).to_server == back
    there = conn.server(flags="FA", seq=9_001, ack=5_002)
    assert proxy.from_server(there).to_client == there
    assert proxy.connection.state == "time_wait"
    assert_lives_by_its_own_numbers(reopened(proxy, syn, 1_000_000))


@pytest.mark.parametrize("end", ["unanswered", "reset"])
def test_a_valid_cookie_replaces_a_connection_of_the_servers_own(proxy, syn, end):
    opening = replace(syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    proxy.from_server(opening)
    if end == "reset":
        proxy.from_client(replace(syn, flags="SA", ack=wrap(opening.seq + 1)))
        proxy.from_server(replace(opening, flags="R", seq=wrap(opening.seq + 1)))
    *_, (to_server, segment) = proxy.from_client(Connection(proxy, syn).ask().ack).sent
    assert (to_server, segment.flags, segment.seq) == (True, "S", syn.seq)


# Copies of an older handshake's ACK that come late: its cookie may still be good.

@pytest.mark.parametrize("state", STATES)
def test_no_late_copy_of_the_older_ack_ends_the_newer_connection(proxy, syn, state):
    old = Connection(proxy, syn).bring_to(state)
    new = reopened(proxy, syn, 1_000_000)
    before = proxy.connection
    for late in (old.ack, replace(old.ack, seq=syn.seq), old.client(payload=b"late request")):
        for _, segment in proxy.from_client(late).sent:
            assert segment.flags == late.flags      # it passes in no sense, or as what it is
    assert proxy.connection == before
    assert (proxy.counters.conn_reopened, proxy.counters.server_syn_sent) == (1, 2)
    assert_lives_by_its_own_numbers(new)


def test_no_late_copy_while_the_newer_one_awaits_its_server(proxy, syn):
    old = Connection(proxy, syn).establish()
    new = old.anew()
    proxy.from_client(new.ack)
    assert proxy.from_client(old.ack).nothing == "cookie_invalid"
    assert (proxy.gauges.half_open, proxy.counters.conn_reopened) == (1, 1)


def test_all_of_the_older_ones_stay_superseded(proxy, syn):
    olds = [Connection(proxy, syn).establish()]
    olds += [reopened(proxy, syn, 64_000 * n) for n in range(1, 20)]
    newest = olds.pop()
    for old in olds:
        proxy.from_client(old.ack)
    assert proxy.counters.conn_reopened == 19
    assert_lives_by_its_own_numbers(newest)
