"""Servers with manners that ordinary ones lack: `python -m appliance.lab.peers`.

Each port is one way to behave, so that a test names the behaviour by the port it connects
to.  All of them listen on every address of both families.  "ready" is printed once they do,
then a JSON line for each conversation that came to its end: port, bytes read, their SHA-256.
"""

import asyncio
import enum
import functools
import hashlib
import json
import random
import signal
import socket
import struct
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from typing import cast

from appliance.lab.namespace import python_module
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

BANNER = b"220 the server speaks first\r\n"
FAREWELL_SEED = 7           # `pseudorandom` of what LEAVES_FIRST sends
FAREWELL_BYTES = 1_000_000
PIECE_BYTES = 1 << 16
NO_LINGER = struct.pack("ii", 1, 0)     # close(2) sends a RST (socket(7), SO_LINGER)


class Peer(enum.IntEnum):
    """The TCP port, and what waits behind it."""

    GREETS = 7001           # sends BANNER before it reads, then echoes
    RESETS = 7002           # resets the connection once it has read something
    ANSWERS_AT_END = 7003   # reads to the client's FIN, then answers with size and SHA-256
    LEAVES_FIRST = 7004     # sends and closes its own side at once, then reads to the end
    SUPPLIES = 7005         # reads "SEED BYTES\n", sends that much of pseudorandom(SEED)
    ECHOES = 7006           # echoes: the client speaks first
    CLOSED = 7009           # nobody listens
    ECHOES_ONCE = 7020      # echoes what it reads first, resets the connection at the next
    UNPROTECTED = 9001      # echoes; outside the lab's services
    DATAGRAMS = 9002        # UDP: echoes


def pseudorandom(seed: int, size_bytes: int) -> bytes:
    """The same bytes on both sides, without sending them another way."""
    return random.Random(seed).randbytes(size_bytes)


class Heard:
    """What a client says, and of what it has said the size and the digest: kept, the bytes of a
    connection that lasts would fill the machine."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader
        self._digest = hashlib.sha256()
        self.size_bytes = 0

    async def piece(self) -> bytes:
        """Empty at the client's FIN."""
        return self._noted(await self._reader.read(PIECE_BYTES))

    async def line(self) -> bytes:
        return self._noted(await self._reader.readline())

    async def to_end(self) -> None:
        while await self.piece():
            pass

    def _noted(self, said: bytes) -> bytes:
        self.size_bytes += len(said)
        self._digest.update(said)
        return said

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


async def echo(heard: Heard, writer: StreamWriter) -> None:
    while piece := await heard.piece():
        writer.write(piece)
        await writer.drain()


async def greet(heard: Heard, writer: StreamWriter) -> None:
    writer.write(BANNER)
    await echo(heard, writer)


async def reset(heard: Heard, writer: StreamWriter) -> None:
    await heard.piece()
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)


async def echo_once(heard: Heard, writer: StreamWriter) -> None:
    writer.write(await heard.piece())
    await reset(heard, writer)


async def answer_at_end(heard: Heard, writer: StreamWriter) -> None:
    await heard.to_end()
    writer.write(f"{heard.size_bytes} {heard.sha256}\n".encode())


async def leave_first(heard: Heard, writer: StreamWriter) -> None:
    writer.write(pseudorandom(FAREWELL_SEED, FAREWELL_BYTES))
    writer.write_eof()
    await heard.to_end()


# Who asks again is not to wait for it to be made.
supplied = functools.lru_cache(maxsize=16)(pseudorandom)


async def supply(heard: Heard, writer: StreamWriter) -> None:
    seed, size_bytes = map(int, (await heard.line()).split())
    writer.write(supplied(seed, size_bytes))


MANNERS = {
    Peer.GREETS: greet,
    Peer.RESETS: reset,
    Peer.ANSWERS_AT_END: answer_at_end,
    Peer.LEAVES_FIRST: leave_first,
    Peer.SUPPLIES: supply,
    Peer.ECHOES: echo,
    Peer.ECHOES_ONCE: echo_once,
    Peer.UNPROTECTED: echo,
}


class DatagramEcho(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(data, addr)


async def listen(peer: Peer) -> None:
    async def converse(reader: StreamReader, writer: StreamWriter) -> None:
        heard = Heard(reader)
        await MANNERS[peer](heard, writer)
        writer.close()
        print(json.dumps({"port": peer, "bytes": heard.size_bytes, "sha256": heard.sha256}),
              flush=True)

    await asyncio.start_server(converse, ["0.0.0.0", "::"], peer, backlog=1024)


def start_peers(lab: Lab) -> Path:
    """Serve in the server namespace until the lab ends; returns where the lines are written."""
    journal = lab.directory / "peers.journal"
    with journal.open("wb") as lines:
        lab.start(lab.server, python_module("appliance.lab.peers"), stdout=lines)
    until(lambda: b"ready" in journal.read_bytes(), seconds=10, what="the peers to listen")
    return journal


async def serve() -> None:
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    for peer in MANNERS:
        await listen(peer)
    # One socket takes both families here (ipv6(7): IPV6_V6ONLY is off).
    await asyncio.get_running_loop().create_datagram_endpoint(
        DatagramEcho, ("::", Peer.DATAGRAMS))
    print("ready", flush=True)
    await stopped.wait()


if __name__ == "__main__":
    asyncio.run(serve())
