"""A client and a server that are packet sockets: they say what a script says, and listen.

Reading list: packet(7).
"""

import select
import socket
import time
from contextlib import AbstractContextManager

from appliance.lab.compare.contestants import (
    RAW_CLIENT_IPV4,
    RAW_CLIENT_IPV6,
    RAW_CLIENT_MAC,
    RAW_SERVER_IPV4,
    RAW_SERVER_IPV6,
    RAW_SERVER_MAC,
    Contestant,
)
from appliance.lab.compare.flow import Addresses, Flow, Say, Side
from appliance.lab.compare.segment import Segment, read
from appliance.lab.namespace import Namespace
from appliance.lab.packet_socket import FRAME_BYTES_MAX, attach
from appliance.lab.template import mac_bytes
from appliance.lab.topology import CLIENT_IPV4, CLIENT_IPV6, CLIENT_MAC, Lab

# Nothing in the lab waits this long without a timer: after it, all that was to come has come.
QUIET_S = 0.2
SETTLE_S = 5                # a proxy that never falls silent is left talking


class RawHost:
    """One end, for all flows."""

    def __init__(self, host: Namespace, mac: str, next_hops: dict[str, str]) -> None:
        """`next_hops`: MACs by IP address."""
        self.socket = host.open_socket(socket.AF_PACKET, socket.SOCK_RAW)
        attach(self.socket, "eth0")
        self.socket.setblocking(False)
        self._mac, self._next_hops = mac, next_hops
        self._mac_bytes = mac_bytes(mac)

    def send(self, segment: Segment) -> None:
        self.socket.send(segment.frame(self._mac, self._next_hops[segment.destination]))

    def receive(self) -> list[Segment]:
        """What has come for this end so far."""
        segments: list[Segment] = []
        while True:
            try:
                frame = self.socket.recv(FRAME_BYTES_MAX)
            except BlockingIOError:
                return segments
            if frame[:6] == self._mac_bytes and (segment := read(frame)) is not None:
                segments.append(segment)


class RawHosts(AbstractContextManager["RawHosts"]):
    """Both ends, and the flows between them."""

    def __init__(self, lab: Lab, contestant: Contestant) -> None:
        self._hosts: dict[Side, RawHost] = {
            "client": RawHost(lab.client, RAW_CLIENT_MAC, {
                address: contestant.toward_server(RAW_SERVER_MAC)
                for address in (RAW_SERVER_IPV4, RAW_SERVER_IPV6)}),
            "server": RawHost(lab.server, RAW_SERVER_MAC, {
                address: contestant.toward_client(mac) for address, mac in (
                    (RAW_CLIENT_IPV4, RAW_CLIENT_MAC), (RAW_CLIENT_IPV6, RAW_CLIENT_MAC),
                    (CLIENT_IPV4, CLIENT_MAC), (CLIENT_IPV6, CLIENT_MAC))}),
        }
        self._flows: dict[Addresses, Flow] = {}
        self._ports = iter(range(20000, 30000))

    def __exit__(self, *reason: object) -> None:
        for host in self._hosts.values():
            host.socket.close()

    def open(self, family: int) -> Flow:
        """A flow whose two ports no other has, so that what a proxy learns of the one's server
        is not met by the other."""
        port = next(self._ports)
        return self.watch(Addresses(*addresses(family), port + 10000, port))

    def watch(self, at: Addresses) -> Flow:
        """A flow between given ends, of which one may be a real stack."""
        self._flows[at] = flow = Flow(at)
        return flow

    def forget(self, flow: Flow) -> None:
        """What still comes for it is not heard."""
        del self._flows[flow.addresses]

    def say(self, flow: Flow, say: Say) -> bool:
        """Send it; False where the script has lost its thread (see Flow.segment)."""
        flow.turn += 1
        segment = flow.segment(say)
        if segment is None:
            return False
        self._hosts[say.side].send(segment)
        return True

    def settle(self, quiet_s: float = QUIET_S) -> None:
        """Listen until nothing more comes."""
        by_socket = {host.socket: side for side, host in self._hosts.items()}
        deadline = time.monotonic() + SETTLE_S
        while time.monotonic() < deadline:
            ready, _, _ = select.select(list(by_socket), [], [], quiet_s)
            if not ready:
                return
            for each in ready:
                side = by_socket[each]
                for segment in self._hosts[side].receive():
                    self._dispatch(side, segment)

    def _dispatch(self, side: Side, segment: Segment) -> None:
        if side == "client":
            at = Addresses(segment.destination, segment.source, segment.dport, segment.sport)
        else:
            at = Addresses(segment.source, segment.destination, segment.sport, segment.dport)
        if at in self._flows:
            self._flows[at].hear(side, segment)


def addresses(family: int) -> tuple[str, str]:
    """The raw client's and the raw server's."""
    if family == 4:
        return RAW_CLIENT_IPV4, RAW_SERVER_IPV4
    return RAW_CLIENT_IPV6, RAW_SERVER_IPV6
