"""The appliance as a whole, looked at, drained and given another secret while real stacks talk."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator

import grpc
import pytest
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.namespace import python_module
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import SERVERS, Lab, Server, stop
from appliance.lab.waiting import until

from .conftest import PATIENCE_S
from .echo import echo
from .test_flood import FLOOD_PPS, start_flood

Connect = Callable[[Peer], socket.socket]
Figure = Callable[[str], None]

CALL_S = 5
LOOKED_S = 15           # two whole looks through the tables
DRAINS = 5              # amid traffic, each with its end
PORTS = range(20_000, 30_000)       # of clients that are told from those of former tests
# How long before an epoch's end traffic begins, and how long it goes on.
BEFORE_S, TRAFFIC_S = 2.0, 5.0

pytestmark = pytest.mark.usefixtures("large_sha256")


@pytest.fixture
def ports(lab: Lab) -> Iterator[range]:
    """What clients use meanwhile."""
    setting = "net/ipv4/ip_local_port_range"        # of IPv6, too
    former = lab.client.run(["cat", f"/proc/sys/{setting}"]).stdout.strip()
    lab.client.configure({setting: f"{PORTS.start} {PORTS.stop - 1}"})
    yield PORTS
    lab.client.configure({setting: former})


@pytest.fixture
def stub(proxy: Proxy) -> Iterator[SystemServiceStub]:
    """Afterwards it doesn't drain."""
    with grpc.insecure_channel(proxy.address) as channel:
        system = SystemServiceStub(channel)
        yield system
        system.Undrain(api.UndrainRequest(), timeout=CALL_S)


def load_of(stub: SystemServiceStub) -> api.WorkerLoad:
    """The only worker's last second."""
    (worker,) = stub.ListWorkers(api.ListWorkersRequest(), timeout=CALL_S).workers
    load: api.WorkerLoad = worker.loads[0]
    return load


def is_idle(load: api.WorkerLoad) -> bool:
    """For a whole second."""
    return load.span.seconds >= 1 and load.busy < 0.02


def drain_of(stub: SystemServiceStub) -> api.DrainState:
    drain: api.DrainState = stub.GetDrain(api.GetDrainRequest(), timeout=CALL_S).drain
    return drain


def start_requests(lab: Lab, server: Server, seconds: float) -> subprocess.Popen[bytes]:
    """Real requests, one connection each, as fast as they go."""
    return lab.start(lab.client, python_module(
        "appliance.lab.prober", server.address, "--seconds", str(seconds)),
        stdout=subprocess.PIPE)


def succeeded(requests: subprocess.Popen[bytes]) -> int:
    """How many there were, all of which must have succeeded."""
    report = json.loads(requests.communicate(timeout=30)[0])
    assert report["succeeded"] == report["attempted"] > 100, report
    return int(report["succeeded"])


def test_a_worker_is_idle_without_traffic_and_busy_in_a_flood(
        lab: Lab, server: Server, proxy: Proxy, driver: str, stub: SystemServiceStub,
        figure: Figure) -> None:
    until(lambda: is_idle(load_of(stub)), seconds=10, what="a second without traffic")
    idle = load_of(stub)
    flood = start_flood(lab, server.address, FLOOD_PPS[driver], seconds=10)
    try:
        until(lambda: load_of(stub).frames_per_second > FLOOD_PPS[driver] / 2, seconds=8,
              what="the flood to be seen")
        flooded = load_of(stub)
    finally:
        stop(flood)
    figure(f"busy {100 * idle.busy:.2f} % idle, {100 * flooded.busy:.1f} % with"
           f" {flooded.frames_per_second:.0f} frames/s in bursts of"
           f" {flooded.frames_per_burst:.1f}")
    assert flooded.busy > 0.05
    assert flooded.busy > 5 * idle.busy
    assert flooded.frames_per_burst >= 1
    until(lambda: is_idle(load_of(stub)), seconds=10, what="the flood to be over")


def test_ports_are_what_they_are(
        lab: Lab, proxy: Proxy, driver: str, stub: SystemServiceStub) -> None:
    lab.client.run(["ping", "-c", "1", "-W", "2", SERVERS["IPv4"].address])     # both ways
    names = {"AF_XDP": "net_af_xdp", "AF_PACKET": "net_af_packet"}
    ports = stub.ListPorts(api.ListPortsRequest(), timeout=CALL_S).ports
    stats = proxy.stats().ports
    for role, port, counted in zip(("client", "server"), ports, stats, strict=True):
        assert (port.role, port.driver) == (role, names[driver])
        assert f"iface={role}" in port.device
        assert (port.link_up, port.mtu_bytes) == (True, 1500)
        assert 0 < port.nic_counters["rx_good_packets"] <= counted.rx_packets


def test_a_drain_lets_connections_end_and_new_ones_pass(
        proxy: Proxy, stub: SystemServiceStub, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    echo(connection)
    until(lambda: _open(stub) >= 1, seconds=LOOKED_S, what="the connection to be met")
    answer = stub.Drain(api.DrainRequest(), timeout=CALL_S)
    assert answer.drain.connections_at_start >= 1
    answered = proxy.counters()["synack_sent"]
    echo(connection)
    direct = connect(Peer.ECHOES)
    echo(direct)
    assert proxy.counters()["synack_sent"] == answered
    until(lambda: drain_of(stub).HasField("connections"), seconds=LOOKED_S,
          what="a look that began later")
    drain = drain_of(stub)
    assert (drain.connections >= 1, drain.done, drain.syns) == (True, False, 1)
    connection.close()
    until(lambda: drain_of(stub).done, seconds=LOOKED_S, what="the last connection to end")
    echo(direct)        # which needs no proxy


def _open(stub: SystemServiceStub) -> int:
    return int(stub.GetSystem(api.GetSystemRequest(), timeout=CALL_S).tables.open)


def test_a_drain_that_drops_turns_new_connections_away_until_its_end(
        lab: Lab, server: Server, proxy: Proxy, stub: SystemServiceStub, connect: Connect) -> None:
    connection = connect(Peer.ECHOES)
    stub.Drain(api.DrainRequest(policy=api.DRAIN_POLICY_DROP), timeout=CALL_S)
    echo(connection)
    with lab.client.open_socket(server.family, socket.SOCK_STREAM) as refused:
        refused.setblocking(False)
        refused.connect_ex((server.address, Peer.ECHOES))
        until(lambda: proxy.counters()["draining"] > 0, seconds=5, what="its SYN to be dropped")
        assert drain_of(stub).syns >= 1
        stub.Undrain(api.UndrainRequest(), timeout=CALL_S)
        refused.settimeout(10)
        until(lambda: _is_connected(refused), seconds=10, what="its next SYN to be answered")
        echo(refused)
    echo(connection)


def _is_connected(connection: socket.socket) -> bool:
    try:
        connection.getpeername()
    except OSError:
        return False
    return True


def test_no_request_fails_while_drains_come_and_go(
        lab: Lab, server: Server, proxy: Proxy, stub: SystemServiceStub, connect: Connect,
        figure: Figure) -> None:
    connection = connect(Peer.ECHOES)
    before = proxy.counters()
    requests = start_requests(lab, server, DRAINS * 0.6 + 1)
    for _ in range(DRAINS):
        time.sleep(0.3)
        stub.Drain(api.DrainRequest(), timeout=CALL_S)
        time.sleep(0.3)
        stub.Undrain(api.UndrainRequest(), timeout=CALL_S)
    count = succeeded(requests)
    gained = proxy.counters() - before
    figure(f"{count} requests, {gained['cookie_valid']} through the proxy,"
           f" {gained['syn_passed']} past it")
    assert gained["syn_passed"] > 10
    assert gained["cookie_valid"] > 10
    echo(connection)


def test_no_handshake_and_no_connection_is_lost_when_the_secret_changes(
        lab: Lab, proxy: Proxy, stub: SystemServiceStub, ports: range, figure: Figure) -> None:
    """Traffic of both families over the end of the epoch, when the other secret begins to count;
    and another one is drawn as soon as it does.  The kernels may repeat a FIN of a former test
    meanwhile, which is adopted."""
    server = SERVERS["IPv6"]
    connection = lab.client.open_socket(server.family, socket.SOCK_STREAM)
    connection.settimeout(PATIENCE_S)
    connection.connect((server.address, Peer.ECHOES))
    secret = stub.RotateSecret(api.RotateSecretRequest(), timeout=CALL_S).secret
    begins_s = secret.effective_time.seconds
    echo(connection)
    time.sleep(max(begins_s - BEFORE_S - time.time(), 0))
    before = proxy.counters()
    requests = [start_requests(lab, one, TRAFFIC_S) for one in SERVERS.values()]
    time.sleep(max(begins_s + 1 - time.time(), 0))
    again = stub.RotateSecret(api.RotateSecretRequest(), timeout=CALL_S).secret
    count = sum(map(succeeded, requests))
    gained = proxy.counters() - before
    figure(f"{count} requests over a change of the secret, {gained['cookie_invalid']} refused")
    assert again.number == secret.number + 1
    assert again.effective_time.seconds == begins_s + 60
    assert gained["cookie_valid"] == gained["server_established"] == count
    assert gained["cookie_invalid"] == 0
    assert [one for one in proxy.connections() if one.passes and one.client_port in ports] == []
    echo(connection)
    connection.close()
