"""A herd of clients at a server that is to be spared: all are served, each in its turn."""

import socket
import struct
import time
from collections.abc import Callable, Iterator

import pytest

from appliance.lab.packet_socket import FRAME_BYTES_MAX, attach, missed_frames
from appliance.lab.peers import Peer
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import SERVER_IPV4, Lab

CLIENTS = 200
RATE, BURST = 50, 1                 # SYNs a second, and at once
PATIENCE_S = 20
NS_PER_S = 1_000_000_000
SO_TIMESTAMPNS = 35                 # <asm-generic/socket.h>: when the kernel got the frame
TIMESPEC = struct.Struct("qq")
ETHER_TYPE, PROTOCOL, DPORT, FLAGS = 12, 23, 36, 47     # where an untagged IPv4 frame has them
IPV4, TCP = b"\x08\x00", 6
SYN, ACK = 0x02, 0x10

pytestmark = pytest.mark.usefixtures("journal")


@pytest.fixture(scope="module", params=["AF_XDP"])
def driver() -> str:
    """When a SYN goes out is the same over any driver."""
    return "AF_XDP"


@pytest.fixture(scope="module")
def daemon(lab: Lab, driver: str) -> Iterator[Proxy]:
    pacing = f"{{rate: {RATE}, burst: {BURST}, wait: {PATIENCE_S // 2}s}}"
    with Proxy(lab, driver, services=f"{SERVICES}    options: {{pacing: {pacing}}}\n") as running:
        yield running


@pytest.fixture
def wiretap(lab: Lab) -> Iterator[socket.socket]:
    """All that reaches the server's interface, with its time."""
    with lab.server.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as packet:
        packet.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        attach(packet, "eth0")
        packet.setblocking(False)
        yield packet


def syns(wiretap: socket.socket) -> list[int]:
    """When each SYN for the echo came, in ns."""
    times: list[int] = []
    while True:
        try:
            frame, ancillary, _, _ = wiretap.recvmsg(FRAME_BYTES_MAX, 256)
        except BlockingIOError:
            return times
        if (frame[ETHER_TYPE:ETHER_TYPE + 2] != IPV4 or frame[PROTOCOL] != TCP
                or int.from_bytes(frame[DPORT:DPORT + 2]) != Peer.ECHOES
                or frame[FLAGS] & (SYN | ACK) != SYN):
            continue
        (stamp,) = (data for level, kind, data in ancillary
                    if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS))
        seconds, nanoseconds = TIMESPEC.unpack(stamp)
        times.append(seconds * NS_PER_S + nanoseconds)


def most_in_a_second(times: list[int]) -> int:
    return max(sum(since <= one <= since + NS_PER_S for one in times) for since in times)


def test_a_herd_is_served_and_its_server_hears_no_more_syns_than_it_is_to(
        lab: Lab, proxy: Proxy, wiretap: socket.socket, figure: Callable[[str], None],
        request: pytest.FixtureRequest) -> None:
    herd = [lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(CLIENTS)]
    for client in herd:
        request.addfinalizer(client.close)
        client.settimeout(PATIENCE_S)
    began = time.monotonic()
    for at, client in enumerate(herd):
        client.connect((SERVER_IPV4, Peer.ECHOES))
        client.sendall(b"%d" % at)
    came = time.monotonic()
    for at, client in enumerate(herd):
        assert client.recv(64) == b"%d" % at
    served = time.monotonic()
    times = syns(wiretap)
    assert missed_frames(wiretap) == 0
    assert len(times) == CLIENTS
    assert most_in_a_second(times) <= RATE + BURST
    counters = proxy.counters()
    assert counters["server_syn_paced"] >= CLIENTS - BURST - RATE * (came - began) - 1
    assert counters["pacing_full"] == counters["pacing_timeout"] == 0
    figure(f"{CLIENTS} clients came in {came - began:.2f} s and were served in {served - began:.2f}"
           f" s; at most {most_in_a_second(times)} SYNs in a second")
