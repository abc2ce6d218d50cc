"""Congestion marks: agreed to where the service has them, and otherwise nobody's business here.

RFC 3168 §6.1.1 (ECN-setup SYN and SYN-ACK); RFC 9768 §3.1.1-3.1.2 (AccECN: the SYN has AE, CWR
and ECE, and a server that only knows RFC 3168 answers ECE alone, one without ECN none), §3.2.2
(the three flags are a counter once the connection is open).
"""

from itertools import product

import pytest

from .connection import Connection
from .harness import EPOCH_S, Proxy, service
from .segments import replace

ECT_1, ECT_0, CE = 1, 2, 3      # the two low bits of the traffic class: RFC 3168 §5
ACE = ["".join(flag for flag, on in zip("ECN", bits, strict=True) if on)
       for bits in product([0, 1], repeat=3)]
ECN_SETUP, ACCECN_SETUP = "SEC", "SECN"
PARTIAL = sorted({f"S{ace}" for ace in ACE} - {"S", ECN_SETUP, ACCECN_SETUP})


@pytest.fixture(params=[False, True], ids=["ecn-off", "ecn-on"])
def ecn(request):
    return request.param


@pytest.mark.parametrize("flags", [ECN_SETUP, ACCECN_SETUP])
def test_both_kinds_of_setup_are_answered_as_rfc_3168_has_it(ts_syn, ecn, flags):
    proxy = Proxy(service(ecn=ecn))
    synack = proxy.from_client(replace(ts_syn, flags=flags)).to_client
    # AE and CWR clear: "classic ECN" to a client with AccECN; all clear: no ECN.
    assert synack.flags == ("SAE" if ecn else "SA")
    assert synack.tos == 0          # RFC 3168 §6.1.1: a SYN-ACK is not ECT


@pytest.mark.parametrize("flags", [ECN_SETUP, ACCECN_SETUP])
def test_the_server_is_asked_for_what_the_client_was_promised(ts_syn, ecn, flags):
    conn = Connection(Proxy(service(ecn=ecn)), replace(ts_syn, flags=flags)).prove()
    assert conn.server_syn.flags == (ECN_SETUP if ecn else "S")
    assert conn.proxy.clock.advance(1.25).to_server.flags == conn.server_syn.flags


@pytest.mark.parametrize("flags", ["S", *PARTIAL])
def test_a_syn_that_asks_for_no_ecn_gets_none(ts_syn, ecn, flags):
    conn = Connection(Proxy(service(ecn=ecn)), replace(ts_syn, flags=flags)).prove()
    assert (conn.synack.flags, conn.server_syn.flags) == ("SA", "S")


@pytest.mark.parametrize("flags", [ECN_SETUP, ACCECN_SETUP])
def test_without_timestamps_there_is_no_room_to_remember_it_and_it_is_declined(syn, ecn, flags):
    conn = Connection(Proxy(service(ecn=ecn)), replace(syn, flags=flags)).prove()
    expected = ecn and conn.timestamps
    assert ("E" in conn.synack.flags, "E" in conn.server_syn.flags) == (expected, expected)


@pytest.mark.parametrize("flags", [ECN_SETUP, ACCECN_SETUP])
def test_our_own_segments_are_never_marked(ts_syn, flags):
    proxy = Proxy(service(ecn=True))
    conn = Connection(proxy, replace(ts_syn, flags=flags, tos=0xB8 | ECT_0), tos=CE)
    conn.establish(tos=0xB8 | CE)
    for said in (conn.synack, conn.server_syn, conn.server_ack, conn.window_update):
        assert said.tos & 3 == 0
    assert (conn.server_ack.flags, conn.window_update.flags) == ("A", "A")


@pytest.mark.parametrize("ace", ACE)
def test_the_third_ack_may_carry_any_count(proxy, syn, ace):
    """RFC 9768 §3.2.2.1: what the SYN-ACK's own mark was is told in it."""
    conn = Connection(proxy, syn).ask()
    assert proxy.from_client(replace(conn.ack, flags=f"A{ace}")).to_server.flags == "S"
    assert proxy.counters.cookie_valid == 1


@pytest.mark.parametrize("flags", ["SAE", "SAC", "SAN", "SAEC", "SAEN", "SACN", "SAECN"])
def test_whatever_the_server_answers_of_ecn_it_is_connected(proxy, syn, flags):
    Connection(proxy, syn, flags=flags).establish()
    assert (proxy.connection.state, proxy.drops) == ("established", {})


@pytest.mark.parametrize("mark", [0, ECT_1, ECT_0, CE])
@pytest.mark.parametrize("ace", ACE)
def test_marks_and_counts_of_an_open_connection_pass_both_ways(conn, ace, mark):
    # Segment.read has summed each of them anew, AE's byte with it.
    for flags in (f"A{ace}", f"PA{ace}", f"FA{ace}"):
        ask = conn.client(flags=flags, payload=b"ask", tos=mark)
        assert conn.proxy.from_client(ask).to_server == conn.as_server_sees(ask)
        answer = conn.server(flags=flags, payload=b"answer", tos=mark)
        assert conn.proxy.from_server(answer).to_client == conn.as_client_sees(answer)
    assert conn.proxy.connection.state == "time_wait"


@pytest.mark.parametrize("ace", ACE)
def test_a_reset_keeps_its_count(conn, ace):
    rst = conn.client(flags=f"RA{ace}")
    assert conn.proxy.from_client(rst).to_server == conn.as_server_sees(rst)
    assert conn.proxy.connection.state == "closed"


# A server that declines.

@pytest.fixture
def learning():
    return Proxy(service(ecn=True, auto=True))


@pytest.mark.parametrize("refusal", ["SA", "SAEC", "SAN"])
def test_no_later_client_is_promised_what_the_server_has_declined(learning, ts_syn, refusal):
    asking = replace(ts_syn, flags=ECN_SETUP)
    conn = Connection(learning, asking, flags=refusal).establish()
    assert (conn.synack.flags, learning.counters.options_differ) == ("SAE", 1)
    later = Connection(learning, replace(asking, sport=40_001)).prove()
    assert (later.synack.flags, later.server_syn.flags) == ("SA", "S")


def test_a_server_that_agrees_is_promised_again_and_again(learning, ts_syn):
    for n in range(3):
        asking = replace(ts_syn, flags=ECN_SETUP, sport=40_000 + n)
        assert Connection(learning, asking, flags="SAE").establish().synack.flags == "SAE"
    assert learning.counters.options_differ == 0


def test_a_server_that_has_declined_is_asked_again_in_the_next_epoch(learning, ts_syn):
    asking = replace(ts_syn, flags=ECN_SETUP)
    Connection(learning, asking).establish()
    learning.clock.leap(EPOCH_S)
    again = Connection(learning, replace(asking, sport=40_001), flags="SAE").establish()
    assert again.synack.flags == "SAE"
    last = Connection(learning, replace(asking, sport=40_002)).ask()
    assert last.synack.flags == "SAE"


def test_clients_that_ask_for_none_teach_nothing_of_it(learning, ts_syn):
    Connection(learning, replace(ts_syn, flags=ECN_SETUP), flags="SAE").establish()
    Connection(learning, replace(ts_syn, sport=40_001)).establish()
    asking = replace(ts_syn, flags=ECN_SETUP, sport=40_002)
    assert Connection(learning, asking).ask().synack.flags == "SAE"
