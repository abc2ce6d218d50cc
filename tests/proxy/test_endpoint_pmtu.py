"""What a server without timestamps sends grows here by an option: never past what its path holds.

design/protocol §4: an ICMP error tells its receiver about what it has sent itself.  RFC 1191 §4,
RFC 8201 §4, RFC 7323 §3.2 (a segment without the option agreed is dropped), RFC 2018 §3.
"""

import pytest
from scapy.layers.inet import ICMP, IP
from scapy.layers.inet6 import ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import Ether

from .connection import Connection, wrap
from .harness import Proxy, service
from .icmp import NARROW_MTU, error_about
from .segments import Segment, replace

TAGS = [(), ((0x8100, 42),)]


@pytest.fixture(params=TAGS, ids=["untagged", "vlan"])
def supplied(request, ts_syn):
    """An open connection whose server has no timestamps, though its client was told of them."""
    proxy = Proxy(service(auto=True))
    conn = Connection(proxy, replace(ts_syn, tags=request.param)).prove()
    _, conn.server_syn = proxy.from_server(
        replace(conn.server_synack, tsval=None, tsecr=None)).two_to_server
    conn.window_update, conn.server_ack = proxy.from_server(conn.server_synack).both
    return conn


def ip_bytes(segment: Segment) -> int:
    packet = Ether(segment.frame())
    return packet[IP].len if IP in packet else 40 + packet[IPv6].plen


def told_mtu(frame) -> int:
    packet = Ether(frame)
    return packet[ICMP].nexthopmtu if ICMP in packet else packet[ICMPv6PacketTooBig].mtu


def test_after_a_narrow_hop_has_complained_what_fits_the_server_fits_the_hop(supplied):
    proxy = supplied.proxy
    bare = {"tsval": None, "tsecr": None}
    seen = proxy.from_server(supplied.server(payload=b"w" * 1400, **bare)).to_client
    mtu = told_mtu(proxy.from_client(error_about(seen, "too-big")).to_server)
    headers = 40 if seen.family == 4 else 60
    full = supplied.server(payload=b"w" * (mtu - headers), **bare)
    assert ip_bytes(proxy.from_server(full).to_client) <= NARROW_MTU


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_an_ack_with_sack_blocks_has_timestamps_whatever_their_number(supplied, count):
    """RFC 7323 §3.2: without them its receiver may drop it; RFC 2018 §4: the last block is the
    oldest news."""
    first = wrap(supplied.syn.seq + 1)
    blocks = tuple((wrap(first + 100 * n), wrap(first + 100 * n + 50)) for n in range(1, count + 1))
    said = supplied.server(sack=blocks, tsval=None, tsecr=None)
    seen = supplied.proxy.from_server(said).to_client
    assert seen.tsval is not None
    assert seen.sack == blocks[:3]


def test_where_the_path_holds_no_less_long_segments_go_without(supplied):
    """RFC 8200 §5: a host need not believe in less than 1280; IPv4 has no such floor."""
    proxy = supplied.proxy
    bare = {"tsval": None, "tsecr": None}
    seen = proxy.from_server(supplied.server(payload=b"w" * 1400, **bare)).to_client
    error = error_about(seen, "too-big", mtu=1280)
    mtu = told_mtu(proxy.from_client(error).to_server)
    assert mtu == (1280 if seen.family == 6 else 1268)
    headers = 40 if seen.family == 4 else 60
    full = proxy.from_server(supplied.server(payload=b"w" * (mtu - headers), **bare)).to_client
    assert ip_bytes(full) <= 1280
    small = proxy.from_server(supplied.server(payload=b"small", **bare)).to_client
    assert small.tsval is not None
