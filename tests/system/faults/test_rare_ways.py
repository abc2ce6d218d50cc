"""What real endpoints seldom do to each other works through the proxy as without it.

Congestion marks (RFC 3168), urgent data (RFC 6093), duplicates told of (RFC 2883), keep-alive
probes (RFC 9293 §3.8.4) and both sides closing at once (RFC 9293 §3.6, figure 13).  Both kernels
say themselves what they have seen: tcp(7), TCP_INFO.
"""

import itertools
import socket
import struct
from collections.abc import Iterator
from contextlib import AbstractContextManager
from functools import partial

import pytest

from appliance.lab.bridge import bridged
from appliance.lab.faults import Action, Faults, Harm, Rule, Way
from appliance.lab.namespace import Namespace
from appliance.lab.peers import pseudorandom
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.topology import Lab, Server
from appliance.lab.waiting import until

Ends = tuple[socket.socket, socket.socket]      # the client's, the server's

PORT = 7090
CLIENT_PORTS = itertools.count(18_000)
PATIENCE_S = 10
STREAM = pseudorandom(3, 200_000)
# struct tcp_info of linux/tcp.h: where a field begins.
OPTIONS, DELIVERED_CE, DSACK_DUPS = 5, 196, 216
SPEAKS_ECN, SAW_ECT = 8, 16                     # TCPI_OPT_ECN, TCPI_OPT_ECN_SEEN
ECN_ASKED, ECN_BY_DEFAULT = "1", "2"            # tcp_ecn
MARKING = """
chain arriving {{
    type filter hook prerouting priority 0;
    {ip} ecn ect0 {ip} ecn set ce
}}
"""
IP = {socket.AF_INET: "ip", socket.AF_INET6: "ip6"}


def proxied(lab: Lab) -> Proxy:
    return Proxy(lab, "AF_XDP", services=SERVICES + "    options: {ecn: true}\n")


@pytest.fixture(scope="module", params=[bridged, proxied])
def between(lab: Lab, request: pytest.FixtureRequest) -> Iterator[None]:
    """The reference, and the proxy."""
    ways: AbstractContextManager[object] = request.param(lab)
    with ways:
        yield


@pytest.fixture
def _ecn_asked(lab: Lab) -> Iterator[None]:
    hosts = (lab.client, lab.server)
    for host in hosts:
        host.configure({"net/ipv4/tcp_ecn": ECN_ASKED})
    yield
    for host in hosts:
        host.configure({"net/ipv4/tcp_ecn": ECN_BY_DEFAULT})


@pytest.fixture
def ends(lab: Lab, server: Server, between: None, _harmless_again: None,
         _ecn_asked: None) -> Iterator[Ends]:
    with lab.server.open_socket(server.family, socket.SOCK_STREAM) as listening, \
            lab.client.open_socket(server.family, socket.SOCK_STREAM) as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((server.address, PORT))
        listening.listen()
        for each in (listening, client):
            each.settimeout(PATIENCE_S)
        client.bind(("", next(CLIENT_PORTS)))
        client.connect((server.address, PORT))
        client.sendall(b"hello")
        with listening.accept()[0] as accepted:
            accepted.settimeout(PATIENCE_S)
            assert accepted.recv(5) == b"hello"
            yield client, accepted


@pytest.fixture(params=[Way.TO_SERVER, Way.TO_CLIENT])
def spoken(ends: Ends, request: pytest.FixtureRequest) -> tuple[Way, socket.socket, socket.socket]:
    """A direction, who speaks in it and who listens."""
    client, accepted = ends
    way = Way(request.param)
    return (way, client, accepted) if way is Way.TO_SERVER else (way, accepted, client)


def told(connection: socket.socket, at: int, kind: str) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    (value,) = struct.unpack_from(f"={kind}", info, at)
    return int(value)


def carry(speaker: socket.socket, listener: socket.socket, data: bytes = STREAM) -> None:
    speaker.sendall(data)
    received = bytearray()
    while len(received) < len(data):
        received += listener.recv(len(data))
    assert received == data


def host_of(lab: Lab, way: Way) -> Namespace:
    """Where what goes this way arrives."""
    return lab.server if way is Way.TO_SERVER else lab.client


def test_both_agree_on_ecn_and_see_marked_segments(ends: Ends) -> None:
    client, accepted = ends
    carry(client, accepted)
    carry(accepted, client)
    for end in ends:
        assert told(end, OPTIONS, "B") & (SPEAKS_ECN | SAW_ECT) == SPEAKS_ECN | SAW_ECT


def test_congestion_is_echoed_to_who_causes_it(
        lab: Lab, server: Server, spoken: tuple[Way, socket.socket, socket.socket]) -> None:
    way, speaker, listener = spoken
    marking = MARKING.format(ip=IP[server.family])
    with host_of(lab, way).nft_table("inet marking", marking):
        carry(speaker, listener)
    assert told(speaker, DELIVERED_CE, "I") > 0


def test_urgent_data_is_where_it_was_put(
        spoken: tuple[Way, socket.socket, socket.socket]) -> None:
    _, speaker, listener = spoken
    speaker.sendall(b"before")
    speaker.send(b"!", socket.MSG_OOB)
    speaker.sendall(b"after")
    # What is read ends at the mark (tcp(7)), whichever segments it came in.
    until(lambda: urgent(listener) == b"!", seconds=PATIENCE_S, what="the urgent byte")
    assert listener.recv(100) == b"before"
    assert listener.recv(5, socket.MSG_WAITALL) == b"after"


def urgent(listener: socket.socket) -> bytes:
    try:
        return listener.recv(1, socket.MSG_OOB)
    except OSError:             # EINVAL, EAGAIN: none as yet
        return b""


def test_who_sends_twice_is_told_so(
        lab: Lab, spoken: tuple[Way, socket.socket, socket.socket]) -> None:
    way, speaker, listener = spoken
    twice = Rule(way, Action.DUPLICATE, payload_bytes_min=500, nth=3, run=5)
    lab.wires["client"].obey(Harm(rules=(twice,)))
    carry(speaker, listener)
    until(lambda: told(speaker, DSACK_DUPS, "I") > 0, seconds=PATIENCE_S, what="a D-SACK")


def test_a_probe_keeps_an_idle_connection_alive(
        lab: Lab, spoken: tuple[Way, socket.socket, socket.socket]) -> None:
    way, speaker, listener = spoken
    prober = host_of(lab, Way.TO_CLIENT if way is Way.TO_SERVER else Way.TO_SERVER)
    sent = prober.counter("TcpExtTCPKeepAlive")
    speaker.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 1)
    speaker.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 1)
    speaker.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 1)
    speaker.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    # One that isn't answered ends the connection a second later, with ETIMEDOUT.
    until(lambda: prober.counter("TcpExtTCPKeepAlive") >= sent + 3, seconds=PATIENCE_S,
          what="three probes")
    carry(speaker, listener, b"still here")
    carry(listener, speaker, b"so am I")


def test_both_sides_close_at_once(lab: Lab, ends: Ends) -> None:
    half = Faults(delay_ms=50)
    lab.wires["client"].obey(Harm(to_server=half, to_client=half))
    port = ends[0].getsockname()[1]
    for end in ends:
        end.shutdown(socket.SHUT_WR)
    for end in ends:
        assert end.recv(1) == b""
    # Who closes second of two would be in LAST-ACK, and no longer there.
    for host, its in (lab.client, "sport"), (lab.server, "dport"):
        until(partial(is_in_time_wait, host, f"{its} = :{port}"), seconds=PATIENCE_S,
              what=f"TIME-WAIT in {host.name}")


def is_in_time_wait(host: Namespace, which: str) -> bool:
    return bool(host.run(["ss", "-tnH", "state", "time-wait", *which.split()]).stdout)
