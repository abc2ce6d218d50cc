"""Strict flags: what each of the 64 combinations means in each state, from either side.

design/protocol §4, G11: only SYN alone is a SYN; only ACK without SYN, FIN, RST opens a
connection.  PSH and URG say nothing here.
"""

from itertools import product

import pytest

from .connection import STATES, SYN_IPV4, SYN_IPV6, Connection, plain, wrap
from .harness import Proxy
from .segments import replace

CORES = ["".join(flag for flag, on in zip("FSRA", bits, strict=True) if on)
         for bits in product([0, 1], repeat=4)]
# All 64: each core comes with each of these, spread over families and options.
VARIANTS = [("", SYN_IPV4), ("P", SYN_IPV6), ("U", plain(SYN_IPV4)), ("PU", plain(SYN_IPV6))]
OPEN = {"A", "FA", "R", "RA"}


def in_order(flags: str) -> str:
    return "".join(flag for flag in "FSRPAU" if flag in flags)


def by_default(known, otherwise="flags_invalid"):
    return {core: known.get(core, otherwise) for core in CORES}


def translated(*others):
    return dict.fromkeys(OPEN, "translate") | dict(others)


SYNACK = ("S", "to_client")
FROM_CLIENT = {
    "none": by_default(dict([SYNACK], A="to_server", FA="flags_invalid", R="no_connection",
                            RA="flags_invalid")),
    "syn_sent": by_default(dict([SYNACK], A="absorb", FA="server_not_ready", R="absorb",
                                RA="absorb")),
    "established": by_default(translated(SYNACK)),
    "half_closed": by_default(translated(SYNACK)),
    "time_wait": by_default(translated(SYNACK)),
    "closed": by_default(translated(SYNACK)),
    "refused": by_default(dict([SYNACK], A="to_client", FA="to_client", R="no_connection",
                               RA="no_connection")),
}
AGAIN = ("SA", "to_server")
OWN = ("S", "bridge")           # the server opens a connection of its own
FROM_SERVER = {
    "none": by_default(dict(dict.fromkeys(OPEN, "no_connection"), S="bridge",
                            SA="synack_unexpected")),
    "syn_sent": by_default({"A": "synack_unexpected", "FA": "synack_unexpected",
                            "R": "rst_out_of_window", "RA": "to_client", "SA": "to_client"}),
    "established": by_default(translated(AGAIN)),
    "half_closed": by_default(translated(AGAIN)),
    "time_wait": by_default(translated(AGAIN, OWN)),
    "closed": by_default(translated(("SA", "absorb"), OWN)),
    "refused": by_default(dict(dict.fromkeys(OPEN, "no_connection"), S="bridge", SA="absorb")),
}


def connection_in(state, syn):
    """And how many bytes each side is past its ISN."""
    conn = Connection(Proxy(), syn)
    if state == "none":
        conn.ask()
        conn.server_syn = conn.syn
    else:
        conn.bring_to(state)
    sent = {"half_closed": 1, "time_wait": 1}.get(state, 0)
    return conn, sent, 1 if state == "time_wait" else 0


@pytest.mark.parametrize("state", ["none", *STATES])
def test_what_a_clients_flags_mean(state):
    for (more, syn), core in product(VARIANTS, CORES):
        conn, sent, got = connection_in(state, syn)
        # A RST is exact, a SYN says its ISN; everything else is the client's next segment.
        segment = conn.client(sent, got, flags=in_order(core + more))
        if core == "S":
            segment = replace(syn, flags=segment.flags)
        out = conn.proxy.from_client(segment)
        expected = FROM_CLIENT[state][core]
        assert out.verdict == expected, (core, more)
        check_drop(conn.proxy, out, expected)
        if expected == "translate":
            assert out.to_server == conn.as_server_sees(segment)


@pytest.mark.parametrize("state", ["none", *STATES])
def test_what_a_servers_flags_mean(state):
    for (more, syn), core in product(VARIANTS, CORES):
        conn, got, sent = connection_in(state, syn)
        segment = conn.server(sent, got, flags=in_order(core + more))
        if "S" in core:
            segment = replace(segment, seq=conn.server_isn, ack=wrap(syn.seq + 1))
        out = conn.proxy.from_server(segment)
        expected = FROM_SERVER[state][core]
        assert out.verdict == expected, (core, more)
        check_drop(conn.proxy, out, expected)
        if expected == "translate":
            assert out.to_client == conn.as_client_sees(segment)
        if expected == "bridge":
            assert out.to_client == segment


def check_drop(proxy, out, expected):
    """A drop leads to nothing and is the only one counted."""
    if expected in proxy.box.counters():
        assert out.nothing == expected
        assert proxy.drops == {expected: 1}
    else:
        assert proxy.drops == {}


@pytest.mark.parametrize("flags", ["SE", "SC", "SEC"])
def test_congestion_flags_leave_a_syn_a_syn(proxy, syn, flags):
    assert proxy.from_client(replace(syn, flags=flags)).to_client.flags == "SA"


@pytest.mark.parametrize("flags", ["AE", "AC", "AEC"])
def test_congestion_flags_leave_an_ack_an_ack(proxy, syn, flags):
    conn = Connection(proxy, syn).ask()
    assert proxy.from_client(replace(conn.ack, flags=flags)).to_server.flags == "S"


@pytest.mark.parametrize("flags", ["SA", "SRA", "FSA", "FA", "RA", "F", "", "P", "FPU", "FSRPAU"])
def test_a_valid_cookie_with_the_wrong_flags_opens_nothing(proxy, syn, flags):
    conn = Connection(proxy, syn).ask()
    assert proxy.from_client(replace(conn.ack, flags=flags)).nothing in (
        "flags_invalid", "no_connection")
    assert (proxy.gauges.connections, proxy.counters.cookie_valid) == (0, 0)


# Connections that a server opens from a protected port.

def test_a_connection_of_the_servers_own_passes_untouched(proxy, syn):
    server = Connection(proxy, syn)
    server.server_syn = server.syn
    opening = replace(syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    assert proxy.from_server(opening).to_client == opening
    answer = replace(syn, flags="SA", ack=opening.seq + 1)
    assert proxy.from_client(answer).to_server == answer
    for flags in ("A", "PA", "FA", "A"):
        there = replace(opening, flags=flags, seq=77, ack=99)
        back = replace(syn, flags=flags, seq=99, ack=77)
        assert proxy.from_server(there).to_client == there
        assert proxy.from_client(back).to_server == back
    assert proxy.counters.server_opened == 1
    assert proxy.connection.state == "time_wait"


def test_a_servers_syn_that_nobody_answers_is_soon_forgotten(proxy, syn):
    opening = replace(syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    proxy.from_server(opening)
    proxy.clock.advance(15 * 4 + 8)         # time_wait_ticks
    assert proxy.gauges.connections == 0
    proxy.from_server(opening)
    proxy.from_client(replace(syn, flags="SA", ack=opening.seq + 1))
    proxy.clock.advance(15 * 4 + 8)
    assert proxy.gauges.connections == 1


@pytest.mark.parametrize("state", ["time_wait", "closed", "refused"])
def test_the_servers_own_connection_is_not_translated_by_its_predecessor(proxy, syn, state):
    conn = Connection(proxy, syn, wscale=2).bring_to(state)
    opening = conn.server(flags="S")
    assert proxy.from_server(opening).to_client == opening
    for flags in ("SA", "A", "FA", "A"):
        back = conn.client(flags=flags, seq=5000, ack=6000)
        assert proxy.from_client(back).to_server == back
    there = conn.server(flags="FA", seq=6000, ack=5001)
    assert proxy.from_server(there).to_client == there
    last = conn.client(seq=5001, ack=6001, window=4000)
    assert proxy.from_client(last).to_server == last


def test_a_client_may_reset_the_servers_own_connection_after_both_fins(proxy, syn):
    opening = replace(syn, source=syn.destination, destination=syn.source, sport=80, dport=40000)
    proxy.from_server(opening)
    for flags in ("SA", "FA"):
        proxy.from_client(replace(syn, flags=flags, seq=2000, ack=wrap(opening.seq + 1)))
    proxy.from_server(replace(opening, flags="FA", seq=wrap(opening.seq + 1), ack=2001))
    rst = replace(syn, flags="R", seq=2001, mss=None, wscale=None, sack_permitted=False,
                  tsval=None, tsecr=None)
    assert proxy.from_client(rst).to_server == rst
