"""The one loss that no SYN cookie can mend: a silent client's third ACK, its server to speak first.

Direct, the server has kept the SYN, and says its SYN-ACK again after a second.  Who answers with a
cookie has kept nothing: neither a Linux server that does (tcp_syncookies is 2) nor the proxy knows
that a client waits, and a client that has nothing to say never sends its ACK again.  Whatever else
it sends carries the cookie and brings the greeting: its first word, or a keep-alive probe.  Where
cookies are for floods only (`activation: AUTO`), it is as direct.
"""

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import pytest

from appliance.lab.bridge import bridged
from appliance.lab.faults import Harm, Rule, Way
from appliance.lab.peers import BANNER, Peer
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import Lab, Server

Between = Callable[[Lab], AbstractContextManager[object]]

SYNACK_AGAIN_S = 1          # RFC 6298 §2
SOON_S = 2.5                # and room for other work on these cores
SILENT_S = 3                # no timer of a server that keeps a SYN is as long
PORTS = itertools.count(19_500)
COOKIES_ALWAYS, COOKIES_UNDER_LOAD = "2", "1"       # tcp_syncookies


def proxied(lab: Lab) -> Proxy:
    return Proxy(lab, "AF_XDP")


def proxied_under_load(lab: Lab) -> Proxy:
    return Proxy(lab, "AF_XDP", "auto", SERVICES + "    options: {activation: AUTO}\n")


@pytest.fixture
def silent(lab: Lab, server: Server, journal: object,
           _harmless_again: None) -> Iterator[socket.socket]:
    """A client's socket, not yet connected, whose third ACK will be lost."""
    port = next(PORTS)
    lab.wires["client"].obey(Harm(rules=(Rule(Way.TO_SERVER, nth=2, client_port=port),)))
    with lab.client.open_socket(server.family, socket.SOCK_STREAM) as connection:
        connection.bind(("", port))
        connection.settimeout(SILENT_S)
        yield connection
    assert lab.wires["client"].carried().rule_hits == [1]
    lab.server.configure({"net/ipv4/tcp_syncookies": COOKIES_UNDER_LOAD})


@pytest.mark.parametrize("between", [bridged, proxied_under_load])
def test_who_keeps_the_syn_says_its_synack_again(lab: Lab, server: Server, between: Between,
                                                 silent: socket.socket) -> None:
    with between(lab):
        started = time.monotonic()
        silent.connect((server.address, Peer.GREETS))
        assert silent.recv(1000) == BANNER
        assert SYNACK_AGAIN_S * 0.9 < time.monotonic() - started < SOON_S


@pytest.mark.parametrize("between", [bridged, proxied])
def test_who_sent_a_cookie_waits_for_the_client_to_speak(
        lab: Lab, server: Server, between: Between, silent: socket.socket) -> None:
    if between is bridged:
        lab.server.configure({"net/ipv4/tcp_syncookies": COOKIES_ALWAYS})
    with between(lab):
        silent.connect((server.address, Peer.GREETS))
        with pytest.raises(TimeoutError):
            silent.recv(1)
        silent.sendall(b"and listens")
        wanted = BANNER + b"and listens"
        assert silent.makefile("rb").read(len(wanted)) == wanted


def test_a_keepalive_probe_carries_the_cookie(lab: Lab, server: Server,
                                              silent: socket.socket) -> None:
    silent.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    silent.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    with proxied(lab):
        silent.connect((server.address, Peer.GREETS))
        assert silent.recv(1000) == BANNER
