"""What a daemon that has ended, or is stopped, does to traffic: the wire is cut, and says so by
nothing but silence; over AF_XDP with a bridge beneath it, frames pass while there is none.
"""

import select
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from appliance.lab.namespace import LabError
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVER_IPV4, SERVERS, Lab

CUT_S = 1.0             # for which nothing comes
PATIENCE_S = 10
BRIDGE = "bypass"       # as README has it
PORTS = ("client", "server")

Enter = Callable[[], socket.socket]

pytestmark = pytest.mark.usefixtures("journal")


@pytest.fixture
def enter(lab: Lab, request: pytest.FixtureRequest) -> Enter:
    """Opens a connection to the echo."""
    def entered() -> socket.socket:
        connection = lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM)
        request.addfinalizer(connection.close)
        connection.settimeout(PATIENCE_S)
        connection.connect((SERVER_IPV4, Peer.ECHOES))
        assert echoes(connection)
        return connection

    return entered


def echoes(connection: socket.socket) -> bool:
    connection.sendall(b"hello\n")
    return connection.recv(64) == b"hello\n"


def is_cut(lab: Lab) -> bool:
    """For a while neither pings nor connections come through, over IPv4 or IPv6."""
    pings = [lab.client.popen(["ping", "-c", "1", "-W", str(CUT_S), server.address],
                              stdout=subprocess.DEVNULL) for server in SERVERS.values()]
    with ExitStack() as held:
        knocking = []
        for server in SERVERS.values():
            connection = held.enter_context(
                lab.client.open_socket(server.family, socket.SOCK_STREAM))
            connection.setblocking(False)
            connection.connect_ex((server.address, Peer.ECHOES))
            knocking.append(connection)
        _, opened, _ = select.select([], knocking, [], CUT_S)
        unanswered = [ping.wait(PATIENCE_S) != 0 for ping in pings]
        return not opened and all(unanswered)


def links_up(lab: Lab) -> bool:
    shown = lab.proxy.run(["ip", "-oneline", "link", "show", "up"]).stdout
    return all(f": {port}@" in shown for port in PORTS)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=["killed", "ended"])
def test_without_a_daemon_the_wire_is_cut(
        lab: Lab, driver: str, enter: Enter, how: signal.Signals) -> None:
    with Proxy(lab, driver) as proxy:
        enter()
        assert not is_cut(lab)
        proxy.stop(how)
        assert is_cut(lab)
        assert links_up(lab)        # whoever looks at the link alone learns nothing
        proxy.start()
        enter()


def test_a_daemon_that_is_stopped_cuts_it_and_goes_on_where_it_was(
        lab: Lab, driver: str, enter: Enter) -> None:
    with Proxy(lab, driver) as proxy:
        connection = enter()
        proxy.process.send_signal(signal.SIGSTOP)
        try:
            assert is_cut(lab)
        finally:
            proxy.process.send_signal(signal.SIGCONT)
        assert echoes(connection)
        enter()
        assert "has made no turn" not in proxy.log()


@pytest.fixture
def bridge(lab: Lab) -> Iterator[None]:
    lab.proxy.ip([f"link add name {BRIDGE} type bridge mcast_snooping 0",
                  f"link set {BRIDGE} addrgenmode none",
                  *(f"link set {port} master {BRIDGE}" for port in PORTS),
                  f"link set {BRIDGE} up"])
    yield
    lab.proxy.ip([f"link delete {BRIDGE}"])


def bridged(lab: Lab) -> str:
    """The addresses that it has learned of frames."""
    shown = lab.proxy.run(["bridge", "fdb", "show", "br", BRIDGE, "dynamic"]).stdout
    return "\n".join(line for line in shown.splitlines() if "permanent" not in line)


@pytest.mark.usefixtures("bridge")
def test_over_packet_sockets_a_bridge_beneath_it_is_refused(lab: Lab) -> None:
    """Its kernel has each frame, too, and would forward it a second time."""
    with pytest.raises(LabError, match="is a port of a bridge or bond"), Proxy(lab, "AF_PACKET"):
        pass


@pytest.mark.usefixtures("bridge")
def test_over_xdp_a_bridge_beneath_it_has_the_frames_while_there_is_no_daemon(
        lab: Lab, enter: Enter) -> None:
    """Connections of either time go on, as far as the daemon's file has them."""
    shard_file = Path(f"/dev/shm/synlab-{lab.id}")
    try:
        with Proxy(lab, "AF_XDP", shard_file=str(shard_file)) as proxy:
            lab.proxy.ip([f"link set {port} type bridge_slave fdb_flush" for port in PORTS])
            translated = enter()
            assert proxy.counters()["cookie_valid"] == 1
            assert not bridged(lab)     # all the while it has met no frame
            proxy.stop(signal.SIGKILL)
            passed = enter()
            assert bridged(lab)
            proxy.start()
            assert echoes(passed)
            assert echoes(translated)
            protected = enter()
            assert proxy.counters()["cookie_valid"] == 1
            assert echoes(protected)
    finally:
        for name in (shard_file, Path(f"{shard_file}.lock")):
            name.unlink(missing_ok=True)
