"""A real connection is listed, and deleted: both ends see the RST."""

import json
import socket
import subprocess
from collections.abc import Callable

import pytest

from appliance.lab.namespace import synproxy_command
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import Lab, Server
from appliance.lab.waiting import until

Connect = Callable[[Peer], socket.socket]
PATIENCE_S = 10


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What is told is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def synproxy(proxy: Proxy) -> Callable[..., str]:
    def run(*arguments: str) -> str:
        return subprocess.run(
            synproxy_command(*arguments, address=proxy.address),
            check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout

    return run


def shown(address: str, port: int) -> str:
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


@pytest.mark.parametrize("talked", [False, True], ids=["idle", "after data"])
def test_a_connection_is_listed_and_both_ends_see_its_deletion(
        lab: Lab, server: Server, connect: Connect, synproxy: Callable[..., str],
        talked: bool) -> None:
    connection = connect(Peer.ECHOES)
    if talked:
        connection.sendall(b"hello\n")
        assert connection.recv(64)
    here, port = connection.getsockname()[:2]

    def listed() -> list[dict[str, object]]:
        told = json.loads(synproxy("connection", "list", "--service", "lab", "--client", here,
                                   "--state", "established", "-o", "json"))
        return [one for one in told["connections"] if one["client_port"] == port]

    until(lambda: len(listed()) == 1, seconds=PATIENCE_S, what="the connection to be listed")
    (told,) = listed()
    assert (told["server_address"], told["server_port"]) == (server.address, Peer.ECHOES)
    assert told["timestamps"] == "TIMESTAMPS_TRANSLATED"
    assert at_server(lab, port)

    synproxy("connection", "delete", shown(here, port), shown(server.address, Peer.ECHOES))
    with pytest.raises(ConnectionResetError):
        connection.recv(64)
    until(lambda: not at_server(lab, port), seconds=PATIENCE_S, what="the server's end to go")
    assert listed() == []


def at_server(lab: Lab, port: int) -> str:
    """The server's own end."""
    return lab.server.run(["ss", "-Htn", "state", "connected", f"dport = :{port}"]).stdout.strip()
