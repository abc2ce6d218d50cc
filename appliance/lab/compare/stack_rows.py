"""Rows that real stacks show: what a program at the client meets.

Each function measures one row over one family, on one stand.
"""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from appliance.lab.compare.contestants import SILENT_PORT
from appliance.lab.compare.flow import Addresses, Say
from appliance.lab.compare.loss import ACK_ONLY, SYN_ONLY, first_lost, unheard
from appliance.lab.compare.stand import (
    CLIENT,
    PATIENCE_S,
    RAW_SERVER,
    SERVER,
    Measured,
    Stand,
)
from appliance.lab.compare.talk import SYN_ACK
from appliance.lab.namespace import Namespace
from appliance.lab.peers import BANNER, Peer

PROMPT_S = 0.2              # no timer of TCP's has run out: its least RTO is 200 ms
RETRANSMITTED_S = 2.5       # one loss of a SYN costs its 1 s (RFC 6298 §2), and a turn besides
GREETINGS = 3
REUSED_PORTS, CONNECTIONS = 20, 30
BULK_BYTES = 200_000
SILENCE_S = 12              # the services here give a server up after 3.5 s
STEP_S = 0.02               # between two looks at the real end of a half-scripted connection
SYN_RETRIES = 2             # of a client's; else it asks for two minutes


def server_first(stand: Stand, family: int) -> Measured:
    """G1.  The median of a few connections from connect(2) to the banner."""
    rejected = _rejected(stand)
    took = sorted(_greeted(stand, family) for _ in range(GREETINGS))
    median = took[GREETINGS // 2]
    rejected = _rejected(stand) - rejected
    return Measured(f"{_time(median)}, {rejected} TSecr rejected",
                    median < PROMPT_S and not rejected)


def _greeted(stand: Stand, family: int) -> float:
    """Seconds until the server has spoken, or infinity."""
    started = time.monotonic()
    connection = stand.tcp_socket(family)
    with suppress(OSError):
        connection.connect((SERVER[family], Peer.GREETS))
        if connection.recv(len(BANNER)) == BANNER:
            return time.monotonic() - started
    return float("inf")


def _rejected(stand: Stand) -> int:
    return stand.lab.server.counter("TcpExtTSEcrRejected")


def server_resets(stand: Stand, family: int) -> Measured:
    """G2.  From the client's last data, with which it has acknowledged some of the server's."""
    connection = stand.tcp_socket(family)
    connection.connect((SERVER[family], Peer.ECHOES_ONCE))
    connection.sendall(b"?")
    connection.recv(1)
    started = time.monotonic()
    connection.sendall(b"?")
    try:
        answer = connection.recv(1)
    except ConnectionResetError:
        took = time.monotonic() - started
        return Measured(f"reset after {_time(took)}", took < PROMPT_S)
    except TimeoutError:
        return Measured(f"no reset in {PATIENCE_S} s", False)
    # The server's process never writes twice on one connection.
    return Measured("joined to a second server connection" if answer else "closed", False)


def ports_reused(stand: Stand, family: int) -> Measured:
    """G3.  All ports at once, then some of them again; the server closes first, and so keeps
    TIME-WAIT, which a client's new SYN may end (RFC 9293 §3.10.7.4, RFC 6191)."""
    ports = range(31000, 31000 + REUSED_PORTS)
    with ThreadPoolExecutor(REUSED_PORTS) as pool:
        first = sum(pool.map(lambda port: _supplied(stand, family, port), ports))
        again = sum(pool.map(lambda port: _supplied(stand, family, port),
                             ports[:CONNECTIONS - REUSED_PORTS]))
    return Measured(f"{first + again} of {CONNECTIONS}", first + again == CONNECTIONS)


def _supplied(stand: Stand, family: int, sport: int) -> bool:
    connection = stand.tcp_socket(family)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    with connection, suppress(OSError):
        connection.bind((CLIENT[family], sport))
        connection.connect((SERVER[family], Peer.SUPPLIES))
        return len(_fetch(connection, 1)) == 1
    return False


def _fetch(connection: socket.socket, size_bytes: int) -> bytes:
    """What the server supplies, to its end or to the socket's patience."""
    received = bytearray()
    deadline = time.monotonic() + PATIENCE_S
    connection.sendall(f"1 {size_bytes}\n".encode())
    with suppress(TimeoutError):
        while time.monotonic() < deadline and (piece := connection.recv(1 << 16)):
            received += piece
    return bytes(received)


def syn_to_server_lost(stand: Stand, family: int) -> Measured:
    """G4.  From connect(2) to the server's answer."""
    with first_lost(stand.lab.server, "ingress", family, Peer.SUPPLIES, SYN_ONLY):
        return _served(stand, family)


def final_ack_lost(stand: Stand, family: int) -> Measured:
    """G5.  The same, where the client speaks first."""
    with first_lost(stand.lab.client, "egress", family, Peer.SUPPLIES, ACK_ONLY):
        return _served(stand, family)


def _served(stand: Stand, family: int, size_bytes: int = 1,
            where: Namespace | None = None) -> Measured:
    started = time.monotonic()
    connection = stand.tcp_socket(family, where)
    connection.connect((SERVER[family], Peer.SUPPLIES))
    received = len(_fetch(connection, size_bytes))
    took = time.monotonic() - started
    if received < size_bytes:
        got = f"{received} of {size_bytes} bytes" if received else "not served"
        return Measured(f"{got} in {took:.0f} s", False)
    return Measured(f"served after {_time(took)}", took < RETRANSMITTED_S)


def narrow_hop(stand: Stand, family: int) -> Measured:
    """G7.  A host behind the client's namespace fetches more than a window of full frames."""
    return _served(stand, family, BULK_BYTES, stand.lab.inner)


def server_is_challenged(stand: Stand, family: int) -> Measured:
    """G12.  A real client; the server is a script, whose half-open old connection answers the
    first SYN with an ACK of its own."""
    sport, dport = 31900, 29900
    raw = stand.raw
    flow = raw.watch(Addresses(CLIENT[family], RAW_SERVER[family], sport, dport))
    connection = stand.tcp_socket(family)
    connection.setblocking(False)
    connection.bind((CLIENT[family], sport))
    started = time.monotonic()
    connection.connect_ex((RAW_SERVER[family], dport))
    sent = answered = False
    while time.monotonic() < started + PATIENCE_S:
        before = len(flow.heard)
        raw.settle(quiet_s=STEP_S)
        for heard in flow.heard[before:]:
            if heard.flags == "S" and not any(
                    each.flags.startswith("R") for each in flow.to("server")):
                raw.say(flow, Say("server", seq=50000, ack=40000))
            elif heard.flags == "S":
                raw.say(flow, replace(SYN_ACK, tsval=None))
            elif heard.payload_bytes and not answered:
                raw.say(flow, Say("server", "PA", ack=1 + heard.payload_bytes, payload_bytes=1))
                answered = True
        if not sent:
            with suppress(OSError):
                sent = connection.send(b"?") == 1
        with suppress(OSError):
            if connection.recv(1):
                return Measured(f"served after {_time(time.monotonic() - started)}", True)
    return Measured(f"not served in {PATIENCE_S} s", False)


def server_is_silent(stand: Stand, family: int) -> Measured:
    """G13.  What the client is told, and when, of a server that never answers."""
    connection = stand.tcp_socket(family)
    connection.settimeout(SILENCE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, SYN_RETRIES)
    started = time.monotonic()
    established = False
    with unheard(stand.lab.server, family, SILENT_PORT):
        try:
            connection.connect((SERVER[family], SILENT_PORT))
            established = True
            connection.sendall(b"?")
            connection.recv(1)
        except TimeoutError as error:
            told = error.errno is not None          # ETIMEDOUT, and not the socket's own patience
        except ConnectionResetError:
            told = True
    took = time.monotonic() - started
    if told:
        return Measured(f"told after {took:.1f} s", True)
    return Measured(f"{'established, ' if established else ''}silent for {took:.0f} s", False)


def older_than_proxy(stand: Stand, family: int) -> Measured:
    """G16.  A connection that was opened over the bare wire, used once the proxy is there."""
    older = stand.older[family]
    started = time.monotonic()
    older.sendall(b"?")
    try:
        answer = older.recv(1)
    except TimeoutError:
        return Measured(f"silent for {PATIENCE_S} s", False)
    took = time.monotonic() - started
    return Measured(f"served after {_time(took)}", answer == b"?" and took < PROMPT_S)


def _time(seconds: float) -> str:
    if seconds == float("inf"):
        return "never"
    if seconds >= PROMPT_S:
        return f"{seconds:.1f} s"
    return f"{seconds * 1e3:.0f} ms" if seconds >= 1e-3 else "< 1 ms"
