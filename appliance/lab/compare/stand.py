"""A lab with one contestant in the middle, and all that a row's script may use."""

import socket
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

from appliance.lab.compare.contestants import (
    RAW_SERVER_IPV4,
    RAW_SERVER_IPV6,
    RAW_SERVER_MAC,
    Contestant,
)
from appliance.lab.compare.flow import Say
from appliance.lab.compare.hop import lay_inner_host
from appliance.lab.compare.raw import RawHosts
from appliance.lab.compare.talk import Talk
from appliance.lab.namespace import Namespace
from appliance.lab.peers import Peer, start_peers
from appliance.lab.topology import CLIENT_IPV4, CLIENT_IPV6, SERVER_IPV4, SERVER_IPV6, Lab

FAMILIES = (4, 6)
SOCKET_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}
CLIENT = {4: CLIENT_IPV4, 6: CLIENT_IPV6}
SERVER = {4: SERVER_IPV4, 6: SERVER_IPV6}
RAW_SERVER = {4: RAW_SERVER_IPV4, 6: RAW_SERVER_IPV6}
PATIENCE_S = 6          # the longest that a right answer may take is one SYN retransmission


@dataclass(frozen=True)
class Measured:
    """What a row's script met, in few words, and whether that is right by the row's rule."""

    value: str
    right: bool


class Stand(AbstractContextManager["Stand"]):
    """`older` are connections, by family, that were opened before the proxy came (G16); `closed`
    are some that were opened and reset at first, and when (G15)."""

    older: Mapping[int, socket.socket]
    closed: Mapping[int, tuple[Talk, float]]
    raw: RawHosts

    def __init__(self, contestant: Contestant) -> None:
        self.contestant = contestant
        self._stack = ExitStack()

    def __enter__(self) -> "Stand":
        with self._stack:
            self.lab = self._stack.enter_context(Lab())
            start_peers(self.lab)
            lay_inner_host(self.lab)
            self.lab.client.ip(
                f"neighbour add {address} dev eth0 nud permanent "
                f"lladdr {self.contestant.toward_server(RAW_SERVER_MAC)}"
                for address in (RAW_SERVER_IPV4, RAW_SERVER_IPV6))
            with self.contestant.wire(self.lab):
                self.older = {family: self._open_older(family) for family in FAMILIES}
            self._stack.enter_context(self.contestant.proxying(self.lab))
            self.raw = self._stack.enter_context(RawHosts(self.lab, self.contestant))
            self.closed = {family: self._open_and_reset(family) for family in FAMILIES}
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *reason: object) -> None:
        self._stack.close()

    def tcp_socket(self, family: int, where: Namespace | None = None) -> socket.socket:
        """A TCP socket of the client's, or of another namespace; closed with the stand."""
        opened = (where or self.lab.client).open_socket(SOCKET_FAMILY[family], socket.SOCK_STREAM)
        self._stack.callback(opened.close)
        opened.settimeout(PATIENCE_S)
        return opened

    def _open_and_reset(self, family: int) -> tuple[Talk, float]:
        talk = Talk(self.raw, self.raw.open(family)).shake_hands()
        talk.say(Say("client", "R", ack=None))
        return talk, time.monotonic()

    def _open_older(self, family: int) -> socket.socket:
        older = self.tcp_socket(family)
        older.connect((SERVER[family], Peer.GREETS))
        if not older.recv(1000):
            raise ConnectionError("the server closed at once")
        return older
