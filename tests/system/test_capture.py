"""What goes through is captured for tshark, and a bad cookie is an event: both with real frames."""

import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP

from appliance.lab.namespace import synproxy_command
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.topology import Lab, Server
from appliance.lab.waiting import until

Connect = Callable[[Peer], socket.socket]
Start = Callable[..., "subprocess.Popen[str]"]
PATIENCE_S = 10
TAKEN_S = 0.3           # frames are taken from the workers every 20 ms
INBOUND, OUTBOUND = "0x00000001", "0x00000002"
SYN, SYN_ACK, ACK = "0x0002", "0x0012", "0x0010"
CLIENT, SERVER = "10.71.0.1", "10.71.0.2"
CLIENT_PORT = 54321


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What is captured is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def synproxy(proxy: Proxy) -> Iterator[Start]:
    """Starts the client."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str) -> "subprocess.Popen[str]":
        started.append(subprocess.Popen(
            synproxy_command(*arguments, address=proxy.address),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def capture(synproxy: Start, tmp_path: Path) -> Callable[..., Callable[[], list[list[str]]]]:
    """Captures; what it returns ends the capture and has tshark's fields of each packet."""
    path = tmp_path / "frames.pcapng"

    def begin(*arguments: str) -> Callable[[], list[list[str]]]:
        process = synproxy("capture", "--write", str(path), *arguments)
        # The file's head comes once the workers are told.
        until(lambda: path.exists() and path.stat().st_size > 0, seconds=PATIENCE_S,
              what="the capture to begin")

        def end() -> list[list[str]]:
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
            assert said.endswith(" packets, 0 lost\n"), said
            return fields_of(path)

        return end

    return begin


def fields_of(path: Path) -> list[list[str]]:
    """Interface, direction, flags, payload's length, comment."""
    fields = ("frame.interface_name", "frame.packet_flags_direction", "tcp.flags", "tcp.len",
              "frame.comment")
    said = subprocess.run(
        ["tshark", "-n", "-r", str(path), "-T", "fields", "-E", "separator=|",
         *(word for field in fields for word in ("-e", field))],
        check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout
    return [line.split("|") for line in said.splitlines()]


def test_a_handshake_is_seen_on_both_sides(
        server: Server, connect: Connect,
        capture: Callable[..., Callable[[], list[list[str]]]]) -> None:
    end = capture("--service", "lab", "--port", str(Peer.ECHOES.value), "--snap", "100")
    connection = connect(Peer.ECHOES)
    connection.sendall(b"hello\n")
    assert connection.recv(64)
    connection.close()
    rows = end_when_quiet(end)
    ways = [tuple(row[:3]) for row in rows]
    for one in (("client", INBOUND, SYN), ("client", OUTBOUND, SYN_ACK),
                ("client", INBOUND, ACK), ("server", OUTBOUND, SYN),
                ("server", INBOUND, SYN_ACK), ("server", OUTBOUND, ACK)):
        assert one in ways
    assert ways.index(("client", INBOUND, SYN)) < ways.index(("server", OUTBOUND, SYN))
    data = {(row[0], row[1]) for row in rows if row[3] == "6"}
    assert data == {(side, way) for side in ("client", "server") for way in (INBOUND, OUTBOUND)}


def end_when_quiet(end: Callable[[], list[list[str]]]) -> list[list[str]]:
    """Once what was sent has been taken."""
    time.sleep(TAKEN_S)
    return end()


def bad_ack(lab: Lab) -> None:
    """An ACK of a cookie that was never given."""
    segment = bytes(IP(src=CLIENT, dst=SERVER) / TCP(
        sport=CLIENT_PORT, dport=Peer.ECHOES, flags="A", seq=1, ack=1))[20:]
    with lab.client.open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        raw.sendto(segment, (SERVER, 0))


@pytest.fixture
def _bad_cookies_are_dropped(synproxy: Start) -> Iterator[None]:
    def unknown_flow(value: str) -> None:
        changed = synproxy("service", "set", "lab", f"unknown_flow={value}")
        assert changed.wait(PATIENCE_S) == 0

    unknown_flow("DROP")
    yield
    unknown_flow("default")


@pytest.mark.usefixtures("_bad_cookies_are_dropped")
def test_a_bad_cookie_is_an_event_and_a_comment(
        lab: Lab, synproxy: Start,
        capture: Callable[..., Callable[[], list[list[str]]]]) -> None:
    end = capture("--reason", "cookie_invalid", "--prefix", CLIENT)
    watching = synproxy("event", "watch", "--service", "lab", "--reason", "cookie_invalid")
    assert watching.stdout is not None
    told: list[str] = []

    def is_told() -> bool:
        bad_ack(lab)
        told.extend(line_within(watching, seconds=0.2))
        return bool(told)

    until(is_told, seconds=PATIENCE_S, what="the event to be told")
    when, reason, service, client, way, there, flags = told[0].split()[:7]
    assert (reason, service, way, flags) == ("cookie_invalid", "lab", ">", "A")
    assert (client, there) == (f"{CLIENT}:{CLIENT_PORT}", f"{SERVER}:{Peer.ECHOES.value}")
    assert when.endswith("Z")
    rows = end_when_quiet(end)
    assert {tuple(row) for row in rows} == {
        ("client", INBOUND, ACK, "0", "dropped: cookie_invalid")}


def line_within(process: "subprocess.Popen[str]", seconds: float) -> list[str]:
    """Its next line, if there is any by then."""
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], seconds)
    return [process.stdout.readline()] if readable else []
