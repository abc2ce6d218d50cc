"""An option changes under traffic: the next SYN after the answer is met by the new one."""

import json
import socket
import struct
import subprocess
import time

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from appliance.lab.namespace import synproxy_command
from appliance.lab.proxy import Proxy
from appliance.lab.topology import CLIENT_IPV4, CLIENT_MAC, SERVER_IPV4, SERVER_MAC, Lab

from .daemon_process import as_root, two_cores

ETH_P_IP = 0x0800
WAIT_S = 5


@pytest.fixture
def lab():
    with Lab() as laid:
        yield laid


class Cable:
    """The client's end of its cable."""

    def __init__(self, lab):
        self._socket = lab.client.open_socket(
            socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_IP))
        self._socket.bind(("eth0", ETH_P_IP))
        self._sport = 1024

    def announced_mss(self):
        """Of the SYN-ACK to a new SYN."""
        self._sport += 1
        syn = (
            Ether(src=CLIENT_MAC, dst=SERVER_MAC) / IP(src=CLIENT_IPV4, dst=SERVER_IPV4)
            / TCP(sport=self._sport, dport=80, seq=1, options=[("MSS", 1460)])
        )
        self._socket.send(bytes(syn))
        deadline = time.monotonic() + WAIT_S
        while (left := deadline - time.monotonic()) > 0:
            self._socket.settimeout(left)
            frame = self._socket.recv(2048)
            ports = frame[34:38]
            if ports == struct.pack("!HH", 80, self._sport):
                return dict(Ether(frame)[TCP].options)["MSS"]
        return None


@as_root
@two_cores
def test_the_next_syn_meets_the_new_mss_and_the_answer_says_how_long_it_took(lab):
    with Proxy(lab, "AF_XDP") as proxy:
        cable = Cable(lab)
        assert cable.announced_mss() == 1460
        for mss in (1400, 1234, 1300):
            answer = subprocess.run(
                synproxy_command("service", "set", "lab", f"mss={mss}", "-o", "json",
                                 address=proxy.address),
                capture_output=True, text=True, check=True,
            )
            assert cable.announced_mss() == mss
            took_s = float(json.loads(answer.stdout)["apply_time"].removesuffix("s"))
            assert 0 < took_s < 1
