"""What is not protected passes as if nothing stood between."""

import json
import socket
from collections.abc import Callable

import pytest

from appliance.lab.peers import Peer, pseudorandom
from appliance.lab.proxy import Proxy
from appliance.lab.topology import CLIENT_MAC, FLOOD_MAC, SERVER_MAC, Lab, Server

Connect = Callable[[Peer], socket.socket]


def ping_once(lab: Lab, server: Server) -> None:
    lab.client.run(["ping", "-c", "1", "-W", "2", server.address])


def echo_datagram(lab: Lab, server: Server, data: bytes) -> bytes:
    with lab.client.open_socket(server.family, socket.SOCK_DGRAM) as datagrams:
        datagrams.settimeout(2)
        datagrams.connect((server.address, Peer.DATAGRAMS))
        datagrams.send(data)
        return datagrams.recv(1 << 16)


@pytest.mark.usefixtures("proxy")
def test_addresses_resolve_through_it(lab: Lab, server: Server) -> None:
    """ARP for IPv4, neighbour discovery for IPv6."""
    lab.client.run(["ip", "neighbour", "flush", "dev", "eth0"])
    ping_once(lab, server)
    assert SERVER_MAC in lab.client.run(["ip", "neighbour", "show", server.address]).stdout


@pytest.mark.usefixtures("proxy")
def test_nobody_but_client_and_server_is_seen(lab: Lab, server: Server) -> None:
    ping_once(lab, server)
    for host in (lab.client, lab.server):
        known = json.loads(host.run(["ip", "-json", "neighbour", "show", "dev", "eth0"]).stdout)
        macs = {entry["lladdr"] for entry in known if "lladdr" in entry}
        assert macs <= {CLIENT_MAC, SERVER_MAC, FLOOD_MAC}


def test_pings_are_answered(lab: Lab, server: Server, proxy: Proxy) -> None:
    bridged = proxy.counters()["bridged"]
    report = lab.client.run(["ping", "-c", "20", "-i", "0.02", "-W", "2", server.address]).stdout
    assert " 20 received, 0% packet loss" in report
    assert proxy.counters()["bridged"] >= bridged + 40


@pytest.mark.usefixtures("proxy", "journal")
@pytest.mark.parametrize("size_bytes", [1, 1400])
def test_datagrams_are_echoed(lab: Lab, server: Server, size_bytes: int) -> None:
    data = pseudorandom(size_bytes, size_bytes)
    assert echo_datagram(lab, server, data) == data


@pytest.mark.usefixtures("journal")
def test_fragmented_datagrams_are_echoed(lab: Lab, server: Server, driver: str,
                                         proxy: Proxy) -> None:
    data = pseudorandom(6, 5000)
    if (driver, server.family) != ("AF_PACKET", socket.AF_INET):
        assert echo_datagram(lab, server, data) == data
        return
    # DPDK's net_af_packet has the kernel put IPv4 fragments together (PACKET_FANOUT_FLAG_DEFRAG)
    # into more than a frame.  README says so; what is cut off is at least counted.
    before = proxy.counters()["ip_malformed"]
    with pytest.raises(TimeoutError):
        echo_datagram(lab, server, data)
    assert proxy.counters()["ip_malformed"] == before + 1


def test_unprotected_tcp_meets_no_cookie(connect: Connect, proxy: Proxy) -> None:
    before = proxy.counters()
    connection = connect(Peer.UNPROTECTED)
    connection.sendall(b"anyone?")
    assert connection.recv(100) == b"anyone?"
    gained = proxy.counters() - before
    assert gained["bridged"] >= 5
    assert gained["syn_received"] == 0
