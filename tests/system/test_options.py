"""Whatever options client and server have, each in its own way, the stream stays whole.

Timestamps, SACK and window scaling are switched off by sysctl on either side, in every
combination: what one side lacks, the proxy must not announce to the other, or must translate.
"""

import hashlib
import socket
from collections.abc import Callable, Iterator

import pytest

from appliance.lab.peers import Peer, pseudorandom
from appliance.lab.tcp_options import ALL, COMBINATIONS, configure, named
from appliance.lab.topology import Lab

Connect = Callable[[Peer], socket.socket]

STREAM_BYTES = 1_000_000

pytestmark = pytest.mark.parametrize("server", ["IPv4"], indirect=True)


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What the options become is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def _all_options_again(lab: Lab) -> Iterator[None]:
    yield
    for host in (lab.client, lab.server):
        configure(host, ALL)


@pytest.mark.usefixtures("_all_options_again")
@pytest.mark.parametrize("server_has", COMBINATIONS, ids=named)
@pytest.mark.parametrize("client_has", COMBINATIONS, ids=named)
def test_streams_stay_whole(lab: Lab, connect: Connect, client_has: tuple[bool, ...],
                            server_has: tuple[bool, ...]) -> None:
    configure(lab.client, client_has)
    configure(lab.server, server_has)

    upload = pseudorandom(1, STREAM_BYTES)
    connection = connect(Peer.ANSWERS_AT_END)
    connection.sendall(upload)
    connection.shutdown(socket.SHUT_WR)
    digest = hashlib.sha256(upload).hexdigest()
    assert connection.makefile("rb").read().decode() == f"{len(upload)} {digest}\n"

    connection = connect(Peer.SUPPLIES)
    connection.sendall(f"2 {STREAM_BYTES}\n".encode())
    assert connection.makefile("rb").read() == pseudorandom(2, STREAM_BYTES)
