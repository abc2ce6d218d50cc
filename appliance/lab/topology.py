"""The lab: client, proxy and server in network namespaces of their own, joined by veth pairs.

    client 10.71.0.1            proxy                    server 10.71.0.2
    fd00:71::1   eth0 ═══ client     server ═══ eth0     fd00:71::2

Client and server share one subnet: whatever stands between them in the proxy namespace is
transparent.  There no interface has an address and IPv6 is off, so the proxy's own kernel,
which sees the frames beside AF_PACKET, never says a word.

On either side of the proxy the cable may be cut and a wire set in that does harm on order, a
relay in a namespace of its own, as silent as the proxy's:

    client  eth0 ═══ client  wire  server ═══ client  proxy

Checksum and segmentation offloads are off on every end: veth would pass partial checksums and
64 KB frames, which no wire carries.  VLAN offloads are off so that tags stay in the frame.
"""

import json
import os
import socket
import subprocess
from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from appliance.lab import record
from appliance.lab.namespace import Namespace, ip
from appliance.lab.waiting import until
from appliance.lab.wire import CLIENT_END, RELAY, SERVER_END, Wire

CLIENT_IPV4 = "10.71.0.1"
SERVER_IPV4 = "10.71.0.2"
CLIENT_IPV6 = "fd00:71::1"
SERVER_IPV6 = "fd00:71::2"
CLIENT_MAC = "02:00:00:00:71:01"
SERVER_MAC = "02:00:00:00:71:02"
PROXY_CLIENT_MAC = "02:00:00:00:71:03"
PROXY_SERVER_MAC = "02:00:00:00:71:04"

# Spoofed sources live in the benchmarking prefixes (RFC 2544 App. C.2.2, RFC 5180 §8).
FLOOD_IPV4 = "198.18.0.0/15"
FLOOD_IPV6 = "2001:2::/48"
# The flood's own MAC.  No interface has it, so a kernel that meets an answer drops it before
# it reads the IP header (PACKET_OTHERHOST), and no RST ever answers a SYN-ACK.
FLOOD_MAC = "02:00:00:00:71:66"
# The way back to the spoofed sources: a real victim has one, and pays for each SYN-ACK.
ROUTES_TO_FLOOD = [line for gateway, prefix in (
    ("10.71.0.254", FLOOD_IPV4), ("fd00:71::254", FLOOD_IPV6)) for line in (
    f"neighbour add {gateway} lladdr {FLOOD_MAC} dev eth0 nud permanent",
    f"route add {prefix} via {gateway} dev eth0",
)]

# The proxy's worker has this core to itself, as a machine of its own would give it; the hosts
# share the others.
WORKER_LCORE = 1

OFFLOADS = ("rx", "tx", "sg", "tso", "gso", "gro", "rxvlan", "txvlan",
            "tx-vlan-stag-hw-insert", "rx-vlan-stag-hw-parse")

HOST_SYSCTLS = {
    "net/ipv6/conf/default/accept_ra": "0",
    "net/ipv6/conf/default/router_solicitations": "0",
    "net/ipv6/conf/default/dad_transmits": "0",
    # No run learns from another; and under a flood a server favours peers that it remembers.
    "net/ipv4/tcp_no_metrics_save": "1",
    "net/ipv4/conf/all/rp_filter": "0",
    "net/ipv4/conf/default/rp_filter": "0",
}
PROXY_SYSCTLS = {
    "net/ipv6/conf/all/disable_ipv6": "1",
    "net/ipv6/conf/default/disable_ipv6": "1",
    "net/ipv4/ip_forward": "0",
    "net/ipv4/conf/all/arp_ignore": "8",        # answer for no address at all
    "net/ipv4/conf/default/arp_ignore": "8",
}


@dataclass(frozen=True)
class Server:
    """The server as clients of one family reach it."""

    family: socket.AddressFamily
    address: str

    @property
    def host(self) -> str:
        """As URLs and scp have it."""
        return self.address if self.family == socket.AF_INET else f"[{self.address}]"

    def url(self, path: str) -> str:
        return f"http://{self.host}/{path}"


SERVERS = {
    "IPv4": Server(socket.AF_INET, SERVER_IPV4),
    "IPv6": Server(socket.AF_INET6, SERVER_IPV6),
}


@dataclass(frozen=True)
class _Plug:
    """Where a cable ends: an interface that it makes."""

    place: Namespace
    interface: str
    mac: str | None = None


class Lab(AbstractContextManager["Lab"]):
    """Three namespaces and their cables, for the length of a `with` statement.

    `directory` is the lab's own scratch directory; what runs in the lab keeps its files there.
    """

    def __init__(self, wires: Collection[str] = ()) -> None:
        """`wires` names the sides of the proxy, "client" and "server", that get one."""
        self._stack = ExitStack()
        self._wired = wires
        self.wires: dict[str, Wire] = {}

    def __enter__(self) -> "Lab":
        record.sweep()
        with self._stack:
            owned = record.claim()
            self._stack.callback(owned.release)
            self.id = owned.id
            self.directory: Path = owned.directory
            hosts_cores = os.sched_getaffinity(0) - {WORKER_LCORE}
            self.client: Namespace = owned.namespace("client", hosts_cores)
            self.proxy: Namespace = owned.namespace("proxy")
            self.server: Namespace = owned.namespace("server", hosts_cores)
            # A place behind the client, for who wants to lay a network there.
            self.inner: Namespace = owned.namespace("inner", hosts_cores)
            self._lay({side: owned.namespace(f"{side}-wire", hosts_cores) for side in self._wired})
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stack.close()

    def start(self, where: Namespace, arguments: Sequence[str],
              **options: Any) -> subprocess.Popen[bytes]:
        """A command in a namespace, stopped with the lab at the latest."""
        process = where.popen(arguments, **options)
        self._stack.callback(stop, process)
        return process

    def forget_neighbours(self) -> None:
        """The hosts ask for one another anew.

        Where nothing joined them they may be amid a question that nobody heard: at its end Linux
        fails all who wait for the answer (EHOSTUNREACH), also who came after the proxy did.
        """
        for host in (self.client, self.server):
            host.ip(["neighbour flush dev eth0"])

    def _lay(self, wire_places: dict[str, Namespace]) -> None:
        self.client.create(HOST_SYSCTLS)
        self.proxy.create(PROXY_SYSCTLS)
        self.server.create(HOST_SYSCTLS)
        client, server = _Plug(self.client, "eth0", CLIENT_MAC), _Plug(
            self.server, "eth0", SERVER_MAC)
        self._join("client", client, _Plug(self.proxy, "client", PROXY_CLIENT_MAC), wire_places)
        self._join("server", _Plug(self.proxy, "server", PROXY_SERVER_MAC), server, wire_places)
        prepare(self.client, "eth0", (f"{CLIENT_IPV4}/24", f"{CLIENT_IPV6}/64"))
        prepare(self.server, "eth0", (f"{SERVER_IPV4}/24", f"{SERVER_IPV6}/64"))
        prepare(self.proxy, "client", ())
        prepare(self.proxy, "server", ())
        self.server.ip(ROUTES_TO_FLOOD)
        until(lambda: _is_ready(self.client) and _is_ready(self.server), seconds=5,
              what="the cables to carry")

    def _join(self, side: str, nearer: _Plug, farther: _Plug,
              wire_places: dict[str, Namespace]) -> None:
        """A cable, or two with a wire between them; `nearer` is the one toward the client."""
        if side not in wire_places:
            ip([_cable(nearer, farther)])
            return
        place = wire_places[side]
        place.create(PROXY_SYSCTLS)
        ip([_cable(nearer, _Plug(place, CLIENT_END)),
            _cable(_Plug(place, SERVER_END), farther)])
        prepare(place, CLIENT_END, ())
        prepare(place, SERVER_END, ())
        self.wires[side] = Wire(self.start(place, RELAY, stdin=subprocess.PIPE,
                                           stdout=subprocess.PIPE))


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a process that the lab started, gently first."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()


def _cable(one: _Plug, other: _Plug) -> str:
    return f"link add {_end(one)} type veth peer {_end(other)}"


def _end(plug: _Plug) -> str:
    address = f"address {plug.mac} " if plug.mac else ""
    return (f"name {plug.interface} {address}numrxqueues 1 numtxqueues 1 "
            f"netns {plug.place.name}")


def prepare(place: Namespace, interface: str, addresses: Sequence[str],
            mtu_bytes: int = 1500) -> None:
    """Bring up an end of a cable, as a wire without offloads."""
    switches = [word for name in OFFLOADS for word in (name, "off")]
    place.run(["ethtool", "-K", interface, *switches])
    place.ip([
        *(f"address add {address} dev {interface}" for address in addresses),
        f"link set {interface} mtu {mtu_bytes} up",
    ])


def _is_ready(host: Namespace) -> bool:
    """The cable carries, and no address waits for duplicate detection."""
    shown = host.run(["ip", "-json", "address", "show", "dev", "eth0"]).stdout
    (link,) = json.loads(shown)
    return link["operstate"] == "UP" and not any(
        address.get("tentative") for address in link["addr_info"])
