"""What answers SYNs in XDP beside ours, in `make bench-peers`, is a SYN proxy: it serves a client,
and lets no ACK pass that proves nothing."""

import importlib
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from appliance.lab.compare.contestants import NftSynproxy
from appliance.lab.peers import BANNER, Peer, start_peers
from appliance.lab.topology import FLOOD_MAC, PROXY_CLIENT_MAC, SERVER_IPV4, Lab
from appliance.lab.waiting import until

BENCH = Path(__file__).parents[1] / "bench"
PATIENCE_S = 10
FORGER = "198.18.0.9"       # one of the flood's addresses
# What comes to the kernel behind XDP: before conntrack, and before what isn't to be tracked.
SEEN = f"""
    counter syns {{ }}
    counter forged {{ }}
    chain first {{
        type filter hook prerouting priority -400
        iifname client tcp dport {Peer.GREETS:d} tcp flags syn counter name syns
        ip saddr {FORGER} counter name forged
    }}
"""


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A module of tests/bench."""
    monkeypatch.syspath_prepend(str(BENCH))
    return importlib.import_module


@pytest.fixture
def seen(bench: Callable[[str], ModuleType]) -> Iterator[tuple[Lab, Callable[[str], int]]]:
    """A lab with XDP in front of the kernel's SYNPROXY, and what comes behind XDP, by counter."""
    kernel, packets = NftSynproxy(), bench("answers").nft_packets
    with Lab() as lab, kernel.wire(lab), kernel.proxying(lab), lab.proxy.nft_table(
            "inet seen", SEEN):
        start_peers(lab)
        in_front: AbstractContextManager[None] = bench("xdp_synproxy").answering(
            lab, int(Peer.GREETS))
        with in_front:
            yield lab, lambda counter: packets(lab.proxy, "inet seen", counter)


def test_a_client_is_served_and_its_syn_is_answered_in_xdp(
        seen: tuple[Lab, Callable[[str], int]]) -> None:
    lab, packets = seen
    with lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
        connection.settimeout(PATIENCE_S)
        connection.connect((SERVER_IPV4, Peer.GREETS))
        assert connection.recv(len(BANNER), socket.MSG_WAITALL) == BANNER
        connection.sendall(b"hello\n")
        assert connection.recv(6, socket.MSG_WAITALL) == b"hello\n"
    assert packets("syns") == 0


def test_an_ack_that_proves_nothing_goes_no_further(
        seen: tuple[Lab, Callable[[str], int]]) -> None:
    lab, packets = seen
    with lab.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as forger:
        forger.bind(("eth0", 0))
        # The second is of no concern to XDP, and says when the first would have come.
        for port in (Peer.GREETS, Peer.UNPROTECTED):
            forger.send(bytes(Ether(src=FLOOD_MAC, dst=PROXY_CLIENT_MAC)
                              / IP(src=FORGER, dst=SERVER_IPV4)
                              / TCP(sport=40000, dport=int(port), flags="A", seq=1, ack=1)))
    until(lambda: packets("forged") > 0, seconds=PATIENCE_S, what="the second ACK")
    assert packets("forged") == 1
