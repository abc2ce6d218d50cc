"""What is lost before a worker could look at it."""

import signal
import socket

import pytest

from appliance.lab.packet_socket import RECEIVE_BUFFER_BYTES, SO_RCVBUFFORCE
from appliance.lab.proxy import Proxy
from appliance.lab.topology import CLIENT_MAC, SERVER_MAC, Lab
from appliance.lab.waiting import until

EXPERIMENT = 0x88B5         # EtherType for local experiments: IEEE 802-2014 Table 9-3
FRAME = (bytes.fromhex((SERVER_MAC + CLIENT_MAC).replace(":", ""))
         + EXPERIMENT.to_bytes(2) + bytes(46))
CROWD = 3 * 2048            # three times what a receive ring holds by default
PATIENCE_S = 10


@pytest.mark.parametrize("driver", ["AF_XDP", "AF_PACKET"])
def test_frames_that_find_the_ring_full_are_told_as_missed(lab: Lab, driver: str) -> None:
    """The worker stands still while they come.  The kernel alone counts them."""
    with (Proxy(lab, driver) as proxy,
          lab.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as client,
          lab.server.open_socket(socket.AF_PACKET, socket.SOCK_RAW) as server):
        client.bind(("eth0", 0))
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        server.bind(("eth0", EXPERIMENT))
        server.setblocking(False)
        proxy.process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(CROWD):
                client.send(FRAME)
        finally:
            proxy.process.send_signal(signal.SIGCONT)
        passed = 0

        def all_told() -> bool:
            nonlocal passed
            passed += waiting(server)
            return passed + missed(proxy) >= CROWD

        until(all_told, seconds=PATIENCE_S, what="each frame to have passed, or to be missed")
        assert 0 < passed < CROWD


def waiting(packets: socket.socket) -> int:
    """Frames that have come since this was last asked."""
    came = 0
    try:
        while packets.recv(len(FRAME)):
            came += 1
    except BlockingIOError:
        return came
    return came


def missed(proxy: Proxy) -> int:
    return sum(port.rx_missed for port in proxy.stats().ports if port.role == "client")
