"""A small HTTP server: GET and HEAD of a few documents, each connection for one request.

It shares the event loop with gRPC and may be open to others than operators, so all that a client
can make it keep is bounded: connections, also of one address; the request's head; how long it may
take to say it, and to read the answer; how much of the answer waits in the socket's buffer.
"""

import asyncio
import socket
import struct
from collections import Counter
from contextlib import suppress
from email.utils import formatdate
from http import HTTPStatus

from appliance.config.formats import http_address_parse
from appliance.exit_codes import ExitCode
from appliance.metrics.documents import Document, Documents
from appliance.metrics.request import BadRequestError, Request, request_parse
from appliance.refusal import Refusal
from cython_core.dataplane import DataplaneError

CONNECTIONS_MAX = 32
HOST_CONNECTIONS_MAX = 8        # of them, from one address
HEAD_BYTES_MAX = 8192
REQUEST_S = 5.0
ANSWER_S = 10.0                 # to write a document and to have it read
FAREWELL_S = 5.0                # to take what the kernel still has, and to close
SLICE_BYTES = 1 << 16

_METHODS = ("GET", "HEAD")
# Nothing but this server's own files runs in the page, and nothing else embeds it (CSP level 3).
_HEADERS = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class MetricsServer:
    def __init__(self, address: str, documents: Documents) -> None:
        """An empty `address` serves nowhere."""
        self._address = address
        self._documents = documents
        self._server: asyncio.Server | None = None
        self._stopping = False
        self._conversations: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._hosts: Counter[str] = Counter()

    async def start(self) -> None:
        """Raises Refusal where the address can't be had."""
        if self._address:
            self._server = await asyncio.start_server(
                self._welcome, sock=_listen(self._address), limit=HEAD_BYTES_MAX)

    async def stop(self) -> None:
        self._stopping = True
        if self._server:
            self._server.close()
        writers = list(self._conversations.values())
        for task in self._conversations:
            task.cancel()
        for writer in writers:
            with suppress(OSError):
                await writer.wait_closed()

    def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._stopping:      # accepted before, and only told now
            writer.transport.abort()
            return
        host = str(writer.get_extra_info("peername", ("",))[0])
        if len(self._conversations) >= CONNECTIONS_MAX or self._hosts[host] >= HOST_CONNECTIONS_MAX:
            writer.write(_head(HTTPStatus.SERVICE_UNAVAILABLE, 0))
            writer.close()
            return
        task = asyncio.create_task(self._converse(reader, writer))
        self._conversations[task] = writer
        self._hosts[host] += 1
        task.add_done_callback(lambda task: self._part(task, host))

    def _part(self, task: asyncio.Task[None], host: str) -> None:
        writer = self._conversations.pop(task)
        # What a client hasn't taken by now goes, rather than wait in the kernel for it.
        with suppress(OSError):     # the client was first
            writer.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]

    async def _converse(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        # So that drain() returns only when all is with the kernel.
        writer.transport.set_write_buffer_limits(0)
        try:
            async with asyncio.timeout(REQUEST_S):
                request = await _request(reader)
            async with asyncio.timeout(ANSWER_S):
                await self._answer(request, writer)
            async with asyncio.timeout(FAREWELL_S):
                # Closed over what is unread, the connection would be reset, and the answer lost.
                writer.write_eof()
                while await reader.read(SLICE_BYTES):
                    pass
        except (TimeoutError, OSError):
            pass        # the client's loss

    async def _answer(
        self, request: Request | HTTPStatus | None, writer: asyncio.StreamWriter
    ) -> None:
        if request is None:
            return
        if isinstance(request, HTTPStatus):
            writer.write(_head(request, 0))
        elif not self._documents.has(request.path):
            writer.write(_head(HTTPStatus.NOT_FOUND, 0))
        elif request.method not in _METHODS:
            writer.write(_head(HTTPStatus.METHOD_NOT_ALLOWED, 0, {"Allow": ", ".join(_METHODS)}))
        else:
            await self._document(request, writer)
        await writer.drain()

    async def _document(self, request: Request, writer: asyncio.StreamWriter) -> None:
        try:
            document: Document = await self._documents.get(request.path, request.accept)
        except DataplaneError:
            writer.write(_head(HTTPStatus.SERVICE_UNAVAILABLE, 0))
            return
        writer.write(_head(
            HTTPStatus.OK, len(document.body), {"Content-Type": document.content_type}))
        body = memoryview(document.body if request.method == "GET" else b"")
        for first in range(0, len(body), SLICE_BYTES):
            writer.write(body[first : first + SLICE_BYTES])
            await writer.drain()


async def _request(reader: asyncio.StreamReader) -> Request | HTTPStatus | None:
    """What is asked, or how it is refused; None where nothing is."""
    try:
        return request_parse(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.LimitOverrunError:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    except asyncio.IncompleteReadError:
        return None
    except BadRequestError:
        return HTTPStatus.BAD_REQUEST


def _head(status: HTTPStatus, length: int, fields: dict[str, str] | None = None) -> bytes:
    fields = {
        "Date": formatdate(usegmt=True), "Content-Length": str(length), **_HEADERS,
        **(fields or {}),
    }
    lines = [f"HTTP/1.1 {status.value} {status.phrase}"]
    lines += [f"{name}: {value}" for name, value in fields.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def _listen(address: str) -> socket.socket:
    host, port = http_address_parse(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        server = socket.create_server((host, port), family=family, dualstack_ipv6=host == "::")
    except OSError as error:
        code = ExitCode.DENIED if isinstance(error, PermissionError) else ExitCode.UNAVAILABLE
        raise Refusal(
            f"management.metrics_address: can't listen at {address}: {error.strerror}", code
        ) from None
    # Its connections inherit it; else the kernel would take megabytes for a reader that stops.
    server.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SLICE_BYTES)
    return server
