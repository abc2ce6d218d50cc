"""What is told of real servers and of the service's mode: over gRPC, and by synproxy."""

import json
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial

import grpc
import pytest
from synproxy.v1.servers_service_pb2 import ListServersRequest, Server
from synproxy.v1.servers_service_pb2_grpc import ServersServiceStub
from synproxy.v1.stats_service_pb2 import ServiceStats

from appliance.lab import topology
from appliance.lab.namespace import synproxy_command
from appliance.lab.peers import Peer
from appliance.lab.proxy import Proxy
from appliance.lab.tcp_options import ALL, configure
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

Connect = Callable[[Peer], socket.socket]
Synproxy = Callable[..., str]
Learned = Callable[[], list[Server]]
Mode = Callable[[], ServiceStats]

CALL_S = 5
PATIENCE_S = 10
NONE = (False, False, False)
WSCALE_ASSUMED = 7      # of a server that has not been asked for its own
# Least, usual and most, in bytes; the kernel's wscale follows from the most.
LARGE_BUFFERS = {"net/ipv4/tcp_rmem": "4096 131072 268435456"}
MSS = {socket.AF_INET: 1460, socket.AF_INET6: 1440}     # of the lab's 1500 bytes
SYN_RATE = 40           # a mark that no test passes unless it wants to
WORD = b"still here"
RUSH = 10               # connections at once


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What is told is the same over any driver."""
    return "AF_XDP"


@pytest.fixture
def synproxy(proxy: Proxy) -> Synproxy:
    """Runs the client; returns what it prints."""
    def run(*arguments: str) -> str:
        return subprocess.run(
            synproxy_command(*arguments, address=proxy.address),
            check=True, capture_output=True, text=True, timeout=PATIENCE_S).stdout

    return run


@pytest.fixture
def learned(proxy: Proxy, server: topology.Server) -> Iterator[Learned]:
    """What is known of the peer that echoes: one server, or none."""
    with grpc.insecure_channel(proxy.address) as channel:
        stub = ServersServiceStub(channel)

        def call() -> list[Server]:
            answer = stub.ListServers(ListServersRequest(service="lab"), timeout=CALL_S)
            return [one for one in answer.servers
                    if (one.address, one.port) == (server.address, Peer.ECHOES)]

        yield call


@pytest.fixture
def _large_buffers(lab: Lab) -> Iterator[None]:
    """The server's; afterwards it has these, and all options, as before."""
    (path,) = LARGE_BUFFERS
    before = lab.server.run(["cat", f"/proc/sys/{path}"]).stdout.strip()
    lab.server.configure(LARGE_BUFFERS)
    yield
    lab.server.configure({path: before})
    configure(lab.server, ALL)


@pytest.mark.usefixtures("_large_buffers")
def test_a_server_is_told_as_its_kernel_has_it(
        lab: Lab, server: topology.Server, connect: Connect, synproxy: Synproxy,
        learned: Learned) -> None:
    assert learned() == []
    connection = connect(Peer.ECHOES)
    until(learned, seconds=PATIENCE_S, what="the server to be learned")
    (told,) = learned()
    assert (told.service, told.mss, told.sack, told.timestamps) == (
        "lab", MSS[server.family], True, True)
    assert told.wscale == wscale_of_kernel(lab, connection) != WSCALE_ASSUMED

    configure(lab.server, NONE)
    connect(Peer.ECHOES)
    until(lambda: not learned()[0].sack, seconds=PATIENCE_S, what="the change to be seen")
    (told,) = learned()
    assert (told.HasField("wscale"), told.timestamps) == (False, False)
    address, port = server.address, str(Peer.ECHOES.value)
    (row,) = [line.split() for line in synproxy("server", "list", "--service", "lab").splitlines()
              if line.split()[:2] == [address, port]]
    assert row[2:7] == ["lab", str(told.mss), "-", "no", "no"]


def wscale_of_kernel(lab: Lab, connection: socket.socket) -> int:
    """Of its end at the peer, the server's own, which `ss` has behind the client's."""
    shown = lab.server.run(
        ["ss", "-Htin", "state", "established", f"sport = :{Peer.ECHOES} and"
         f" dport = :{connection.getsockname()[1]}"]).stdout
    (scale,) = re.findall(r"wscale:\d+,(\d+)", shown)
    return int(scale)


def test_the_age_grows_until_the_server_answers_again(
        server: topology.Server, connect: Connect, synproxy: Synproxy,
        learned: Learned) -> None:
    def age_s() -> int:
        """As synproxy has it."""
        (age,) = [one["age"] for one in json.loads(synproxy("server", "list", "-o", "json"))[
            "servers"] if (one["address"], one["port"]) == (server.address, Peer.ECHOES)]
        return int(age.removesuffix("s"))

    began = time.monotonic()
    connect(Peer.ECHOES)
    until(lambda: any(one.age.seconds <= time.monotonic() - began + 1 for one in learned()),
          seconds=PATIENCE_S, what="the server to be learned now")
    until(lambda: age_s() >= 3, seconds=PATIENCE_S, what="the age to grow")
    # Both are whole seconds of their own.
    assert age_s() <= time.monotonic() - began + 1
    connect(Peer.ECHOES)
    until(lambda: age_s() < 3, seconds=PATIENCE_S, what="the age to begin anew")


@pytest.fixture
def mode(proxy: Proxy) -> Mode:
    def call() -> ServiceStats:
        (stats,) = proxy.stats().services
        return stats

    return call


@pytest.fixture
def _always_again(synproxy: Synproxy) -> Iterator[None]:
    yield
    synproxy("service", "set", "lab", "activation=default", "marks.syn_rate=default",
             "marks.hold=default")


@pytest.mark.usefixtures("_always_again")
class TestMode:
    def test_it_is_told_whatever_the_activation(self, synproxy: Synproxy, mode: Mode) -> None:
        assert mode().cookies
        for activation in ("OFF", "ALWAYS", "MONITOR", "ALWAYS", "AUTO"):
            synproxy("service", "set", "lab", f"activation={activation}")
            until(partial(is_told, mode, activation == "ALWAYS"), seconds=PATIENCE_S,
                  what=f"{activation} to be told")
            assert mode().cookies_age.ToMilliseconds() < PATIENCE_S * 1000

    @pytest.mark.parametrize("server", ["IPv4"], indirect=True)
    def test_under_auto_it_follows_the_load(
            self, connect: Connect, synproxy: Synproxy, proxy: Proxy, mode: Mode) -> None:
        synproxy("service", "set", "lab", "activation=AUTO", f"marks.syn_rate={SYN_RATE}",
                 "marks.hold=3s")
        until(lambda: not mode().cookies, seconds=PATIENCE_S, what="a quiet service's mode")
        assert cookies_row(synproxy)[:2] == ["lab", "off"]
        before = proxy.counters()
        passed = connect(Peer.ECHOES)
        assert is_echoed(passed)
        until(lambda: connect_all(connect) and mode().cookies, seconds=PATIENCE_S,
              what="the rush to be noticed")
        assert proxy.counters()["syn_passed"] >= before["syn_passed"] + SYN_RATE - 1
        assert mode().cookies_age.ToMilliseconds() < PATIENCE_S * 1000
        assert cookies_row(synproxy)[:2] == ["lab", "on"]
        proven = connect(Peer.ECHOES)
        assert is_echoed(proven)
        assert is_echoed(passed)
        until(lambda: not mode().cookies, seconds=PATIENCE_S, what="the rush to be over")
        assert proxy.counters()["cookies_off"] == before["cookies_off"] + 1
        assert proxy.counters()["cookie_valid"] > before["cookie_valid"]
        assert is_echoed(passed)
        assert is_echoed(proven)


def is_told(mode: Mode, cookies: bool) -> bool:
    return mode().cookies == cookies


def connect_all(connect: Connect) -> bool:
    for _ in range(RUSH):
        connect(Peer.ECHOES).close()
    return True


def is_echoed(connection: socket.socket) -> bool:
    connection.sendall(WORD)
    return connection.recv(len(WORD), socket.MSG_WAITALL) == WORD


def cookies_row(synproxy: Synproxy) -> list[str]:
    """What `synproxy stats` says of the service's mode."""
    _, _, table = synproxy("stats").partition("COOKIES  SINCE\n")
    return table.splitlines()[0].split()
