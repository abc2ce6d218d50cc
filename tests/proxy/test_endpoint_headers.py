"""Segments of an open connection behind IPv4 options and IPv6 extension headers.

design/protocol §4: extension headers are walked to a limit; RFC 8200 §4.1, RFC 791 §3.1.  Numbers
and checksums are translated where they are; the headers stay as they came.
"""

import pytest
from scapy.layers.inet import IP, TCP, IPOption_NOP, IPOption_Router_Alert
from scapy.layers.inet6 import IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN
from scapy.layers.l2 import Dot1Q, Ether

from .connection import SYN_IPV4, SYN_IPV6, Connection
from .harness import Proxy
from .segments import Segment, replace

PAD = PadN(optdata=b"\0" * 4)
CHAINS = {
    "hop-by-hop": [IPv6ExtHdrHopByHop(options=[PAD])],
    "destination": [IPv6ExtHdrDestOpt(options=[PAD])],
    "routing-done": [IPv6ExtHdrRouting(addresses=["fd00::3"], segleft=0)],
    "three": [IPv6ExtHdrHopByHop(options=[PAD]), IPv6ExtHdrDestOpt(options=[PAD]),
              IPv6ExtHdrDestOpt(options=[PAD])],
}
IPV4_OPTIONS = {
    "alert": [IPOption_Router_Alert()],
    "padded": [IPOption_NOP(), IPOption_NOP(), IPOption_NOP(), IPOption_NOP()],
}
CASES = [(SYN_IPV4, name) for name in IPV4_OPTIONS] + [(SYN_IPV6, name) for name in CHAINS]
CASE_IDS = [f"ipv{syn.family}-{name}" for syn, name in CASES]
TAGGED = [(), ((0x8100, 42),)]


def behind(segment: Segment, name: str) -> bytes:
    """The same segment with such headers before it, all checksums right."""
    ether = Ether(segment.frame())
    ip = ether[IP] if IP in ether else ether[IPv6]
    if segment.family == 4:
        head = IP(src=ip.src, dst=ip.dst, ttl=ip.ttl, flags="DF", options=IPV4_OPTIONS[name])
    else:
        head = IPv6(src=ip.src, dst=ip.dst, hlim=ip.hlim, fl=ip.fl)
        for header in CHAINS[name]:
            head = head / header.copy()
    tcp = ether[TCP].copy()
    del tcp.chksum
    frame = Ether(src=ether.src, dst=ether.dst)
    for _, vlan in segment.tags:
        frame = frame / Dot1Q(vlan=vlan)
    return bytes(frame / head / tcp)


def translated(conn, segment, name, from_client):
    """The only frame that comes of it, as bytes."""
    verdicts, [(to_server, frame)] = conn.proxy.box.run([behind(segment, name)], from_client)
    conn.proxy.sent += 1
    conn.proxy.check_books()
    assert (verdicts, to_server) == (["translate"], from_client)
    return frame


@pytest.mark.parametrize("tags", TAGGED, ids=["untagged", "vlan"])
@pytest.mark.parametrize(("syn", "name"), CASES, ids=CASE_IDS)
def test_both_ends_data_is_translated_behind_them(syn, name, tags):
    conn = Connection(Proxy(), replace(syn, tags=tags)).establish()
    ask = conn.client(flags="PA", payload=b"ask" * 333)
    answer = conn.server(got=999, flags="PA", payload=b"answer!")
    # Byte for byte what scapy makes of the translated segment behind the same headers.
    assert translated(conn, ask, name, True) == behind(conn.as_server_sees(ask), name)
    assert translated(conn, answer, name, False) == behind(conn.as_client_sees(answer), name)


@pytest.mark.parametrize(("syn", "name"), CASES, ids=CASE_IDS)
def test_timestamps_are_supplied_behind_them(syn, name):
    proxy = Proxy()
    conn = Connection(proxy, syn).prove()
    _, conn.server_syn = proxy.from_server(
        replace(conn.server_synack, tsval=None, tsecr=None)).two_to_server
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    said = conn.server(payload=b"x" * 99, tsval=None, tsecr=None)
    frame = translated(conn, said, name, False)
    tcp = Ether(frame)[TCP]
    tsval, tsecr = dict(tcp.options)["Timestamp"]
    seen = replace(conn.as_client_sees(said), tsval=tsval, tsecr=tsecr,
                   options=(("NOP", None), ("NOP", None), ("Timestamp", (tsval, tsecr))))
    assert frame == behind(seen, name)


@pytest.mark.parametrize(("syn", "name"), CASES, ids=CASE_IDS)
def test_the_handshake_is_done_where_each_of_its_segments_is_behind_them(syn, name):
    proxy = Proxy()
    conn = Connection(proxy, syn)
    conn.synack = proxy.from_client(behind(syn, name)).to_client
    conn.server_syn = proxy.from_client(behind(conn.ack, name)).to_server
    conn.window_update, conn.server_ack = proxy.from_server(
        behind(conn.server_synack, name)).both
    ask = conn.client(flags="PA", payload=b"ask")
    assert proxy.from_client(ask).to_server == conn.as_server_sees(ask)
