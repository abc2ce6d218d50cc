"""The wire of faults in the lab: what it carries, what it harms on order, what it counts."""

import re
import socket
from collections.abc import Callable, Iterator

import pytest

from appliance.lab.bridge import bridged
from appliance.lab.faults import Action, Faults, Harm, Rule, Way
from appliance.lab.namespace import Namespace
from appliance.lab.packet_socket import attach, receive
from appliance.lab.topology import CLIENT_IPV4, SERVER_IPV4, SERVER_IPV6, Lab
from appliance.lab.waiting import until
from appliance.lab.wire import Carried, Wire

PORT = 9009
PATIENCE_S = 20
STREAM = bytes(range(240)) * 250        # 42 segments or more; fits into a receive buffer
# Below the ports that a host gives by itself (net.ipv4.ip_local_port_range): none that an earlier
# connection has left in TIME-WAIT.
STREAM_PORT = 30001
STREAM_SEED = 3             # for that port it does all four within the first 40 segments
# The port chooses the harmed byte, too: here one of the payload.  Were it the header's length
# (RFC 9293, section 3.1), a receiver drops the segment before it comes to the checksum.
CORRUPTED_PORT = 30002
# From client to server; IEEE Std 802 keeps EtherType 88-B5 for experiments, so no stack answers.
FRAME = bytes.fromhex("02 00 00 00 71 02  02 00 00 00 71 01") + b"%s\x88\xb5a frame of nobody's"


@pytest.fixture(scope="module")
def wired() -> Iterator[Lab]:
    with Lab(wires=("client",)) as lab, bridged(lab):
        yield lab


@pytest.fixture
def wire(wired: Lab) -> Iterator[Wire]:
    """Its counts must add up once a test is over: no frame is lost without a word."""
    wire = wired.wires["client"]
    wire.obey(Harm())
    yield wire
    wire.obey(Harm())
    until(lambda: is_balanced(wire.carried()), seconds=3,
          what=f"every frame to be accounted for: {wire.carried()}")


def is_balanced(carried: Carried) -> bool:
    return all(
        counts["arrived"] + counts["duplicated"]
        == counts["lost"] + counts["sent"] + counts["overflow"]
        for counts in (carried.to_server, carried.to_client))


@pytest.fixture
def accept(wired: Lab) -> Iterator[Callable[[], socket.socket]]:
    """Listens in the server namespace; the call accepts."""
    with wired.server.open_socket(socket.AF_INET, socket.SOCK_STREAM) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((SERVER_IPV4, PORT))
        listening.listen()
        listening.settimeout(PATIENCE_S)
        yield lambda: listening.accept()[0]


def connected(lab: Lab, client_port: int = 0) -> socket.socket:
    connection = lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.bind((CLIENT_IPV4, client_port))
    connection.settimeout(PATIENCE_S)
    connection.connect((SERVER_IPV4, PORT))
    return connection


def packets(host: Namespace) -> socket.socket:
    packet = host.open_socket(socket.AF_PACKET, socket.SOCK_RAW)
    packet.settimeout(2)
    attach(packet, "eth0")
    return packet


@pytest.mark.parametrize("address", [SERVER_IPV4, SERVER_IPV6])
def test_without_an_order_all_passes(wired: Lab, wire: Wire, address: str) -> None:
    before = wire.carried()
    report = wired.client.run(["ping", "-c", "20", "-i", "0.02", "-W", "2", address]).stdout
    assert " 20 received, 0% packet loss" in report
    assert wire.carried().to_server["sent"] >= before.to_server["sent"] + 20
    assert wire.carried().both_ways["lost"] == before.both_ways["lost"]


@pytest.mark.parametrize("tags", ["", "8100 0064", "88a8 00c8 8100 012c"])
@pytest.mark.usefixtures("wire")
def test_a_frame_arrives_as_it_was_sent(wired: Lab, tags: str) -> None:
    """Once, and with its tags."""
    frame = FRAME % bytes.fromhex(tags)
    with packets(wired.server) as at_server, packets(wired.client) as at_client:
        at_client.send(frame)
        at_client.send(frame + b", the last")
        arrived: list[bytes] = []
        while not arrived or arrived[-1] != frame + b", the last":
            arrived += [got for got in [receive(at_server)] if got.startswith(frame)]
    assert arrived == [frame, frame + b", the last"]


@pytest.mark.parametrize("round_trip_ms", [10, 40])
def test_a_delay_lengthens_the_round_trip(wired: Lab, wire: Wire, round_trip_ms: int) -> None:
    half = Faults(delay_ms=round_trip_ms / 2)
    wire.obey(Harm(to_server=half, to_client=half))
    report = wired.client.run(["ping", "-c", "10", "-i", "0.05", "-W", "2", SERVER_IPV4]).stdout
    ((shortest, mean),) = re.findall(r"= ([\d.]+)/([\d.]+)/", report)
    assert float(shortest) >= round_trip_ms
    assert float(mean) < round_trip_ms + 10


def test_a_lost_syn_is_sent_again(wired: Lab, wire: Wire,
                                  accept: Callable[[], socket.socket]) -> None:
    wire.obey(Harm(rules=(Rule(Way.TO_SERVER, flags="S"),)))
    before = wire.carried().to_server["lost"]
    with connected(wired), accept():
        assert wire.carried().rule_hits == [1]
        assert wire.carried().to_server["lost"] == before + 1


def test_a_corrupted_segment_is_noticed_by_its_receiver(
        wired: Lab, wire: Wire, accept: Callable[[], socket.socket]) -> None:
    with connected(wired, CORRUPTED_PORT) as client, accept() as server:
        server.settimeout(PATIENCE_S)
        wire.obey(Harm(rules=(Rule(Way.TO_SERVER, Action.CORRUPT, payload_bytes_min=1000),)))
        before = wired.server.counter("TcpInCsumErrors")
        client.sendall(b"x" * 1400)
        assert server.recv(2000, socket.MSG_WAITALL)[:1400] == b"x" * 1400
        assert wire.carried().rule_hits == [1]
        assert wired.server.counter("TcpInCsumErrors") == before + 1


def test_a_stream_survives_all_that_chance_does(
        wired: Lab, wire: Wire, accept: Callable[[], socket.socket]) -> None:
    with connected(wired, STREAM_PORT) as client, accept() as server:
        server.settimeout(PATIENCE_S)
        worst = Faults(loss=0.1, duplication=0.1, reordering=0.25, corruption=0.05, jitter_ms=1)
        wire.obey(Harm(seed=STREAM_SEED, to_server=worst))
        before = wire.carried().to_server
        client.sendall(STREAM)
        client.shutdown(socket.SHUT_WR)
        assert server.makefile("rb").read() == STREAM
        gained = wire.carried().to_server - before
    assert {"lost", "duplicated", "reordered", "corrupted"} <= set(gained)


def test_what_the_far_end_has_no_room_for_is_told(wired: Lab, wire: Wire) -> None:
    """An interface that is down stands for one whose queue is full: neither takes the frame."""
    before = wire.carried().to_server["overflow"]
    wired.proxy.ip(["link set client down"])
    try:
        with packets(wired.client) as at_client:
            at_client.send(FRAME % b"")
        until(lambda: wire.carried().to_server["overflow"] == before + 1, seconds=2,
              what=f"the overflow to be counted: {wire.carried()}")
    finally:
        wired.proxy.ip(["link set client up"])
        wired.client.run(["ping", "-c", "1", "-w", "5", SERVER_IPV4])
