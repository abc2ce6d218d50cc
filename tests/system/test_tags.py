"""Protected connections under VLAN tags keep their tags, in both directions."""

import hashlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from appliance.lab.peers import BANNER, Peer, pseudorandom
from appliance.lab.proxy import Proxy
from appliance.lab.tagging import QINQ, VLAN, lay_tagged_network
from appliance.lab.topology import Lab

TAGS = {
    "VLAN": [(VLAN, 100)],
    "QinQ": [(QINQ, 200), (VLAN, 300)],
    "two C-tags": [(VLAN, 400), (VLAN, 500)],
}
# AF_PACKET has no QinQ: the kernel lifts the outer tag off before packet sockets see it, and
# DPDK's net_af_packet puts it back as a C-tag.  README says so.
pytestmark = pytest.mark.parametrize(
    ("driver", "tags"),
    [("AF_XDP", name) for name in TAGS] + [("AF_PACKET", "VLAN"), ("AF_PACKET", "two C-tags")],
    indirect=True, scope="module")
Reach = Callable[[str, Peer], socket.socket]
PATIENCE_S = 3
STREAM_BYTES = 2_000_000


@dataclass(frozen=True)
class Tagged:
    """The server behind tags, per family."""

    ipv4: str
    ipv6: str


@pytest.fixture(scope="module")
def networks(lab: Lab) -> dict[str, Tagged]:
    """Each way of tagging has its network."""
    return {name: Tagged(*lay_tagged_network(lab, tags, number))
            for number, (name, tags) in enumerate(TAGS.items(), 72)}


@pytest.fixture
def tags(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["IPv4", "IPv6"])
def reach(lab: Lab, proxy: Proxy, journal: Path, networks: dict[str, Tagged],
          request: pytest.FixtureRequest) -> Reach:
    """Connects to a peer of the server behind the named tags."""
    def reached(tags: str, peer: Peer) -> socket.socket:
        over_ipv4 = request.param == "IPv4"
        connection = lab.client.open_socket(
            socket.AF_INET if over_ipv4 else socket.AF_INET6, socket.SOCK_STREAM)
        request.addfinalizer(connection.close)
        connection.settimeout(PATIENCE_S)
        network = networks[tags]
        connection.connect((network.ipv4 if over_ipv4 else network.ipv6, peer))
        return connection

    return reached


def test_a_tagged_connection_is_proxied(reach: Reach, proxy: Proxy, tags: str) -> None:
    valid = proxy.counters()["cookie_valid"]
    connection = reach(tags, Peer.GREETS)
    assert connection.recv(1000) == BANNER
    assert proxy.counters()["cookie_valid"] == valid + 1


def test_a_tagged_stream_arrives_unharmed(reach: Reach, tags: str) -> None:
    connection = reach(tags, Peer.SUPPLIES)
    connection.sendall(f"9 {STREAM_BYTES}\n".encode())
    received = bytearray()
    while piece := connection.recv(1 << 16):
        received += piece
    wanted = pseudorandom(9, STREAM_BYTES)
    assert hashlib.sha256(received).digest() == hashlib.sha256(wanted).digest()


def test_unprotected_tcp_passes_under_tags(reach: Reach, proxy: Proxy, tags: str) -> None:
    valid = proxy.counters()["cookie_valid"]
    connection = reach(tags, Peer.UNPROTECTED)
    connection.sendall(b"anyone?")
    assert connection.recv(100) == b"anyone?"
    assert proxy.counters()["cookie_valid"] == valid


@pytest.mark.usefixtures("proxy")
def test_pings_are_answered_under_tags(lab: Lab, networks: dict[str, Tagged], tags: str) -> None:
    for address in (networks[tags].ipv4, networks[tags].ipv6):
        report = lab.client.run(["ping", "-c", "5", "-i", "0.05", "-W", "2", address]).stdout
        assert " 5 received" in report
