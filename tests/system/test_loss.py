"""On a wire that loses frames, retransmission and SACK work through the translation."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.lab.peers import Peer, pseudorandom
from appliance.lab.topology import Lab

Connect = Callable[[Peer], socket.socket]

STREAM_BYTES = 5_000_000
# As the hosts receive, so in both directions; only TCP, since ARP and ND have timers of their own.
LOSSY = """
chain arriving {
    type filter hook input priority 0;
    meta l4proto tcp numgen random mod 100 < 2 drop
}
"""


@pytest.fixture
def _lossy(lab: Lab) -> Iterator[None]:
    with lab.client.nft_table("inet lossy", LOSSY), lab.server.nft_table("inet lossy", LOSSY):
        yield


@pytest.mark.usefixtures("_lossy")
def test_an_upload_arrives_unharmed(connect: Connect) -> None:
    data = pseudorandom(time.monotonic_ns(), STREAM_BYTES)
    connection = connect(Peer.ANSWERS_AT_END)
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    digest = hashlib.sha256(data).hexdigest()
    assert connection.makefile("rb").read().decode() == f"{len(data)} {digest}\n"


@pytest.mark.usefixtures("_lossy")
def test_a_download_arrives_unharmed(connect: Connect) -> None:
    seed = time.monotonic_ns()
    connection = connect(Peer.SUPPLIES)
    connection.sendall(f"{seed} {STREAM_BYTES}\n".encode())
    assert connection.makefile("rb").read() == pseudorandom(seed, STREAM_BYTES)


@pytest.mark.usefixtures("_lossy")
def test_many_short_connections_all_succeed(connect: Connect) -> None:
    """Where any segment of the handshake may be lost, on either side."""
    for turn in range(200):
        connection = connect(Peer.GREETS)
        words = b"turn %d" % turn
        connection.sendall(words)
        connection.shutdown(socket.SHUT_WR)
        assert connection.makefile("rb").read().endswith(words)
        connection.close()
