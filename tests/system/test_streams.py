"""Connections in all their shapes: who speaks first, who closes first, who resets."""

import hashlib
import json
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.lab.peers import (
    BANNER,
    FAREWELL_BYTES,
    FAREWELL_SEED,
    Peer,
    pseudorandom,
)
from appliance.lab.topology import Lab, Server
from appliance.lab.waiting import until

Connect = Callable[[Peer], socket.socket]
Figure = Callable[[str], None]

PROMPTLY_S = 1          # a direct connection is refused or reset at once
UPLOAD_BYTES = 20_000_000


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_to_end(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(1 << 16):
        received += piece
    return bytes(received)


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("direction", [[], ["--reverse"]], ids=["upload", "download"])
def test_iperf3_runs_without_an_error(lab: Lab, server: Server, direction: list[str],
                                      figure: Figure) -> None:
    serving = lab.start(lab.server, ["iperf3", "--server", "--one-off", "--port", "5201"],
                        stdout=subprocess.DEVNULL)
    until(lambda: "5201" in lab.server.run(["ss", "-Hltn"]).stdout, seconds=5, what="iperf3")
    report = json.loads(lab.client.run(["iperf3", "--client", server.address, "--time", "3",
                                        "--json", *direction]).stdout)
    assert serving.wait(timeout=5) == 0
    received = report["end"]["sum_received"]
    assert received["bytes"] > 0
    figure(f"{received['bits_per_second'] / 1e6:.0f} Mbit/s")


def test_a_server_that_speaks_first_is_heard_at_once(lab: Lab, connect: Connect,
                                                     figure: Figure) -> None:
    rejected = lab.server.counter("TcpExtTSEcrRejected")
    started = time.monotonic()
    connection = connect(Peer.GREETS)
    assert connection.recv(1000) == BANNER
    waited_ms = (time.monotonic() - started) * 1e3
    assert waited_ms < 200, "the kernel's SYNPROXY takes 1000 ms here"
    assert lab.server.counter("TcpExtTSEcrRejected") == rejected
    connection.sendall(b"and listens")
    assert connection.recv(1000) == b"and listens"
    figure(f"banner after {waited_ms:.1f} ms")


def test_a_closed_port_refuses_promptly(connect: Connect) -> None:
    started = time.monotonic()
    with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
        connect(Peer.CLOSED).recv(1)
    assert time.monotonic() - started < PROMPTLY_S


def test_a_servers_reset_reaches_the_client(connect: Connect) -> None:
    connection = connect(Peer.RESETS)
    connection.sendall(b"go away")
    started = time.monotonic()
    with pytest.raises(ConnectionResetError):
        connection.recv(1)
    assert time.monotonic() - started < PROMPTLY_S


def test_an_upload_is_answered_after_the_clients_fin(connect: Connect) -> None:
    data = pseudorandom(3, UPLOAD_BYTES)
    connection = connect(Peer.ANSWERS_AT_END)
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    assert read_to_end(connection).decode() == f"{len(data)} {sha256(data)}\n"


def test_an_upload_goes_on_after_the_servers_fin(connect: Connect, journal: Path) -> None:
    data = pseudorandom(time.monotonic_ns(), 1_000_000)
    connection = connect(Peer.LEAVES_FIRST)
    assert read_to_end(connection) == pseudorandom(FAREWELL_SEED, FAREWELL_BYTES)
    connection.sendall(data)
    connection.close()
    noted = json.dumps({"port": Peer.LEAVES_FIRST, "bytes": len(data), "sha256": sha256(data)})
    until(lambda: noted in journal.read_text(), seconds=5, what="the server to read to the end")


def test_both_directions_carry_data_at_once(connect: Connect) -> None:
    data = pseudorandom(4, 200_000)
    connection = connect(Peer.GREETS)
    connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)
    assert sha256(read_to_end(connection)) == sha256(BANNER + data)
