"""How what we say ourselves is addressed: MACs, tags, flow label and marks, in each case there is.

design/protocol §4: VLAN and QinQ tags kept, flow label kept; architecture "Layer 2": an answer to a
frame swaps its MACs, and what goes to the other side takes those of the frame that caused it.
"""

import pytest

from .connection import Connection
from .harness import Outcome, Proxy, service
from .segments import replace

TAGS = [(), ((0x8100, 42),), ((0x88A8, 7), (0x8100, 4094))]
BARE = {"flags": "R", "ack": 0, "tsval": None, "tsecr": None}


def syn_again(conn):
    return conn.prove().proxy.clock.advance(1.25)


def client_told_of_silence(conn):
    out = Outcome()
    conn.prove()
    while conn.proxy.gauges.half_open:
        out = conn.proxy.clock.advance(0.25)
    return out


def client_refused(conn):
    return conn.prove().proxy.from_server(conn.server(flags="RA"))


def client_refused_again(conn):
    return conn.bring_to("refused").proxy.from_client(conn.client())


def server_told_that_its_client_gave_up(conn):
    return conn.prove().proxy.from_client(conn.client(**BARE))


def server_too_late(conn):
    return conn.bring_to("refused").proxy.from_server(conn.server_synack)


def server_challenged(conn):
    return conn.prove().proxy.from_server(conn.server(seq=77_000, ack=99_000))


def server_asked_without_timestamps(conn):
    conn.prove()
    return conn.proxy.from_server(replace(conn.server_synack, tsval=None, tsecr=None))


def synack_acknowledged_again(conn):
    return conn.establish().proxy.from_server(conn.server_synack)


def old_server_reset(conn):
    return conn.establish().proxy.from_client(conn.anew().ack)


def window_said_again(conn):
    return conn.establish().proxy.clock.advance(0.3)


def early_data_delivered(conn):
    conn.prove().proxy.from_client(conn.client(payload=b"early"))
    conn.proxy.from_server(conn.server_synack)
    return conn.proxy.clock.advance(0.001)


# What leads to a segment of ours, and how many come.
OCCASIONS = {
    syn_again: 1, client_told_of_silence: 1, client_refused: 1, client_refused_again: 1,
    server_told_that_its_client_gave_up: 1, server_too_late: 1, server_challenged: 2,
    server_asked_without_timestamps: 2, synack_acknowledged_again: 1, old_server_reset: 2,
    window_said_again: 1, early_data_delivered: 1,
}


@pytest.fixture(params=TAGS, ids=["untagged", "vlan", "qinq"])
def tagged(request, ts_syn):
    return replace(ts_syn, tags=request.param)


@pytest.mark.parametrize("occasion", OCCASIONS, ids=lambda occasion: occasion.__name__)
def test_it_is_tagged_and_addressed_as_the_connections_own_segments(tagged, occasion):
    proxy = Proxy(service(syn_retries=1, early_data=occasion is early_data_delivered))
    sent = occasion(Connection(proxy, tagged)).sent
    assert len(sent) == OCCASIONS[occasion]
    for to_server, segment in sent:
        there = tagged.source_mac, tagged.destination_mac
        assert segment.tags == tagged.tags
        assert (segment.source_mac, segment.destination_mac) == (
            there if to_server else there[::-1])
        assert (segment.source, segment.destination) == (
            (tagged.source, tagged.destination) if to_server
            else (tagged.destination, tagged.source))
        assert segment.tos & 3 == 0             # never ECT: RFC 3168 §6.1.1


@pytest.mark.parametrize("from_client", [True, False], ids=["from-client", "from-server"])
def test_a_reset_of_an_unknown_flow_keeps_its_tags(tagged, from_client):
    proxy = Proxy(service(unknown_flow="reset"))
    old = replace(tagged, flags="A", ack=77, mss=None, wscale=None, sack_permitted=False)
    if not from_client:
        old = replace(old, source=old.destination, destination=old.source, sport=80, dport=40000)
    if from_client:
        proxy.from_client(old)          # a client is reset when it asks again: proxy/overtaken
        proxy.clock.advance(3)
    [(to_server, rst)] = proxy.run([old], from_client).sent
    assert (to_server, rst.flags, rst.tags) == (not from_client, "R", tagged.tags)
    assert (rst.source_mac, rst.destination_mac) == (old.destination_mac, old.source_mac)


def test_all_that_goes_to_the_server_for_an_ipv6_client_has_its_flow_label(tagged):
    label = 0xABCDE if tagged.family == 6 else 0
    syn = replace(tagged, flow_label=label)
    conn = Connection(Proxy(service(early_data=True)), syn).prove()
    again = conn.proxy.clock.advance(1.25).to_server
    conn.proxy.from_client(conn.client(payload=b"early"))
    conn.window_update, conn.server_ack = conn.proxy.from_server(conn.server_synack).both
    early = conn.proxy.clock.advance(0.001).to_server
    data = conn.proxy.from_client(conn.client(sent=5, payload=b"data")).to_server
    said = conn.server_syn, again, conn.server_ack, early, data
    assert [segment.flow_label for segment in said] == [label] * 5


def test_a_servers_own_flow_label_and_class_pass(conn):
    label = 0x54321 if conn.syn.family == 6 else 0
    data = conn.server(payload=b"data", flow_label=label, tos=0x2E << 2, hop_limit=3)
    assert conn.proxy.from_server(data).to_client == conn.as_client_sees(data)
