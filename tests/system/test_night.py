"""What README tells an operator under attack works as it stands there, under an attack."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP

from appliance.lab.peers import Peer
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import CLIENT_IPV4, SERVER_IPV4, Lab
from appliance.lab.waiting import until

from .test_flood import start_flood

README = (Path(__file__).parents[2] / "README.md").read_text()
NIGHT = README.partition("## At 3 a.m., under attack\n")[2].partition("\n## ")[0]
LOOK, BOUNDS, PACING, WITHOUT_A_SERVICE, WITHOUT_ALL, TAKE_BACK, BRIDGE, BACK = [
    [line.partition("  #")[0].rstrip() for line in block.splitlines()]
    for block in re.findall(r"^```sh\n(.*?)^```$", NIGHT, re.MULTILINE | re.DOTALL)
]
PATIENCE_S = 10
COMMAND_S = 60          # a drain that waits takes two looks through the table
FLOOD_PPS, FLOOD_S = 2000, 120
STEP_S = 0.02           # between two volleys of ACKs
# So that some ACKs are too many.
OWN = """    options: {unknown_rate: 1}
"""


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """What an operator says is the same over any driver."""
    return "AF_XDP"


@pytest.fixture(scope="module")
def daemon(lab: Lab, driver: str) -> Iterator[Proxy]:
    """Its service is README's."""
    with night(lab, driver) as running:
        yield running


def night(lab: Lab, driver: str) -> Proxy:
    return Proxy(lab, driver, "night", SERVICES.replace("name: lab", "name: web") + OWN)


@pytest.fixture
def attack(lab: Lab) -> Iterator[None]:
    """SYNs of nobody, and ACKs that prove nothing."""
    segments = [
        bytes(IP(src=CLIENT_IPV4, dst=SERVER_IPV4) / TCP(
            sport=sport, dport=80, flags="A", seq=1, ack=1))[20:]
        for sport in range(20000, 20010)
    ]
    flood = start_flood(lab, SERVER_IPV4, FLOOD_PPS, FLOOD_S)
    over = threading.Event()
    with lab.client.open_socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:

        def send() -> None:
            while not over.wait(STEP_S):
                for segment in segments:
                    raw.sendto(segment, (SERVER_IPV4, 0))

        acks = threading.Thread(target=send)
        acks.start()
        yield
        over.set()
        acks.join()
    flood.send_signal(signal.SIGINT)
    flood.communicate(timeout=PATIENCE_S)


class Operator:
    """Types what README has, on the box."""

    def __init__(self, lab: Lab, daemon: Proxy, folder: Path) -> None:
        self._lab = lab
        self._folder = folder
        self._env = {**os.environ, "SYNPROXY_ADDRESS": daemon.address,
                     "PATH": f"{sys.prefix}/bin:{os.environ['PATH']}"}

    def types(self, line: str) -> str:
        """What it says."""
        line = line.replace("eth1", "client").replace("eth2", "server")
        process = self._lab.start(
            self._lab.proxy, ["bash", "-euo", "pipefail", "-c", line], cwd=self._folder,
            env=self._env, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        said = b""
        if "watch" in line:         # until Ctrl-C
            said = process.stdout.readline()
            process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=COMMAND_S)
        assert process.returncode == 0, (line, errors)
        return (said + rest).decode()


@pytest.fixture
def operator(lab: Lab, daemon: Proxy, tmp_path: Path) -> Operator:
    new = daemon.file.read_text().replace(OWN, OWN.replace("}", ", mss: 1300}"))
    (tmp_path / "new.yaml").write_text(new)
    return Operator(lab, daemon, tmp_path)


@pytest.mark.usefixtures("attack")
def test_what_is_dropped_is_seen(operator: Operator, proxy: Proxy, tmp_path: Path) -> None:
    said = [operator.types(line) for line in LOOK]
    assert all(said[:5])
    assert "  unknown_rate  " in said[4]
    assert (tmp_path / "web.pcapng").stat().st_size > 0
    assert {line.split("\t")[1] for line in said[-1].splitlines()} == {"dropped: unknown_rate"}
    counted = proxy.counters()
    assert counted["unknown_rate"] > 0
    assert counted["cookie_invalid"] == 0
    assert counted["synack_sent"] > 0


@pytest.mark.usefixtures("attack")
def test_what_its_table_says_to_do_can_be_done(operator: Operator, proxy: Proxy) -> None:
    """And ACKs that are dropped for all are cookies that are invalid."""
    commands = re.findall(r"`(synproxy [^`]+)`", NIGHT)
    assert "synproxy service set web unknown_flow=DROP" in commands
    try:
        for line in commands:
            operator.types(line)
        until(lambda: proxy.counters()["cookie_invalid"], seconds=PATIENCE_S,
              what="an invalid cookie")
    finally:
        operator.types("synproxy service set web unknown_flow=default unknown_rate=1")


def test_new_connections_are_bounded(operator: Operator, proxy: Proxy) -> None:
    of_prefixes, of_all = (operator.types(line) for line in BOUNDS)
    assert re.search(r"^bounds.source_rate +0 +20$", of_prefixes, re.MULTILINE)
    assert re.search(r"^bounds.rate +0 +5000$", of_all, re.MULTILINE)
    operator.types("synproxy service set web bounds.rate=default bounds.source_rate=default"
                   " bounds.source_burst=default")


def test_new_connections_are_paced(operator: Operator, proxy: Proxy) -> None:
    (line,) = PACING
    assert re.search(r"^pacing.rate +0 +1000$", operator.types(line), re.MULTILINE)
    operator.types("synproxy service set web pacing.rate=default")


def test_a_service_goes_out_of_protection_and_back(operator: Operator, proxy: Proxy) -> None:
    checked, off, back = (operator.types(line) for line in WITHOUT_A_SERVICE)
    assert re.search(r"^activation +ALWAYS +OFF$", checked, re.MULTILINE)
    assert "nothing was changed" in checked
    assert re.search(r"^activation +ALWAYS +OFF$", off, re.MULTILINE)
    assert re.search(r"^activation +OFF +ALWAYS$", back, re.MULTILINE)


def test_all_go_out_and_back(operator: Operator, proxy: Proxy) -> None:
    began, system, drained, back = (operator.types(line) for line in WITHOUT_ALL)
    assert began.startswith("bridge since ")
    assert re.search(r"^drain +bridge since ", system, re.MULTILINE)
    assert drained.startswith("drained: ")
    assert back.startswith("was: bridge since ")


def test_a_change_is_taken_back(operator: Operator, proxy: Proxy) -> None:
    history, checked, applied, confirmed, back = (operator.types(line) for line in TAKE_BACK)
    assert re.search(r"^ +1  ", history, re.MULTILINE)
    assert "services/web  options.mss  -" in checked
    assert "within 1m, or revision" in applied
    assert "is confirmed" in confirmed
    assert "services/web  options.mss  1300    -" in back


@pytest.mark.usefixtures("journal")
def test_the_kernel_bridges_in_its_place(
        lab: Lab, driver: str, operator: Operator, daemon: Proxy) -> None:
    """A connection that has opened while it drained goes on over the bridge, and after it."""
    with ExitStack() as held:
        connection = None
        for line in BRIDGE + BACK:
            if line == "systemctl stop synproxyd":
                connection = held.enter_context(
                    lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM))
                connection.settimeout(PATIENCE_S)
                connection.connect((SERVER_IPV4, Peer.ECHOES))
                assert echoed(connection)
                assert daemon.stop(signal.SIGTERM) == 0
            elif line == "systemctl start synproxyd":
                held.enter_context(night(lab, driver))
            else:
                operator.types(line)
            if line in (BRIDGE[-1], BACK[-1]):
                until(lambda: answers(lab), seconds=PATIENCE_S, what="the server to be reached")
                assert connection is not None
                assert echoed(connection)


def echoed(connection: socket.socket) -> bool:
    connection.sendall(b"hello\n")
    return connection.recv(64) == b"hello\n"


def answers(lab: Lab) -> bool:
    return lab.client.run(["ping", "-c", "1", "-W", "1", SERVER_IPV4], check=False).returncode == 0
