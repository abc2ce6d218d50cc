"""A metrics server in a thread of its own, over a plane without packets."""

import asyncio
import http.client
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import TypeVar, cast

from appliance.config.load import config_parse
from appliance.config_file import FileState
from appliance.management.catalogue import Catalogue
from appliance.management.turning import Turning
from appliance.metrics.documents import Documents
from appliance.metrics.expiries import Expiries
from appliance.metrics.reading import Reader
from appliance.metrics.server import MetricsServer
from appliance.supervision import Supervision
from cython_core.dataplane import Dataplane

from .plane import Plane

Result = TypeVar("Result")

PATIENCE_S = 20
HEAD = """\
ports:
  client: {device: net_ring0}
  server: {device: net_ring1}
services:
"""
SERVICES = HEAD + """\
  - {name: web, prefixes: [192.0.2.0/24], ports: [443]}
  - {name: mail, prefixes: [192.0.2.25], ports: [25], options: {activation: AUTO}}
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


class Served:
    def __init__(self, plane: Plane, text: str = SERVICES) -> None:
        self.plane = plane
        self.port = free_port()
        self._config = config_parse(text.encode(), "f")
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> "Served":
        self._thread.start()
        self.call(self._start())
        return self

    def __exit__(self, *reason: object) -> None:
        self.call(self.server.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def call(self, work: Coroutine[None, None, Result]) -> Result:
        """Run it in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=PATIENCE_S)

    async def _start(self) -> None:
        self.catalogue = Catalogue(
            self._config.services, self._config.defaults, cast(Dataplane, self.plane))
        self.file = FileState(Path("f"))
        self.reader = Reader(
            self.catalogue, self.plane, self.file, Turning(self.plane, lambda _: None),
            Supervision(), Expiries([]))
        self.documents = Documents(self.reader)
        self.server = MetricsServer(f"127.0.0.1:{self.port}", self.documents)
        await self.server.start()
        self.reader.ready = True

    def ask(self, path: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
        """The answer, its body read into `body`."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        connection.request(method, path, headers=headers)
        return connection.getresponse()

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S)

    def say(self, request: bytes) -> bytes:
        """All that comes back on a connection of its own."""
        with self.connect() as connection:
            connection.sendall(request)
            connection.shutdown(socket.SHUT_WR)
            return everything(connection)


def everything(connection: socket.socket) -> bytes:
    """What still comes until the server closes."""
    answer = b""
    while chunk := connection.recv(1 << 16):
        answer += chunk
    return answer
