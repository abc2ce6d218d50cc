"""Many conversations with the echoing peers at once: `python -m appliance.lab.dialogues`.

Each is a connection from a source port of its own: so rules on the wire can name it, and the
same seed does the same to it again.  It connects, hears the banner where the server speaks
first, says a few words and waits for each to come back, streams both ways at once, and closes
its own side first.  Whatever does not come back as it was sent is a failure.

Orders come as one JSON object on stdin, outcomes go as a JSON list to stdout.
"""

import asyncio
import dataclasses
import hashlib
import json
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.lab.namespace import python_module
from appliance.lab.peers import BANNER, PIECE_BYTES, Peer, pseudorandom
from appliance.lab.topology import Lab

START_S = 20            # what the program itself may take beside its conversations


@dataclass(frozen=True)
class Conversation:
    """What is said to a peer that echoes."""

    address: str
    port: int               # Peer.ECHOES: the client speaks first; Peer.GREETS: the server does
    source_port: int
    turns: int = 0          # words that are waited for, one after the other
    stream_bytes: int = 0   # then so many each way, at once


@dataclass
class Outcome:
    """What became of it, in seconds since the SYN."""

    source_port: int
    connected_s: float | None = None
    first_byte_s: float | None = None   # from the server: so both sides of a proxy are up
    ended_s: float | None = None
    failure: str | None = None          # None: every byte came back


class WrongBytesError(Exception):
    """Something else came back than was sent."""


class _Speaker:
    """One conversation under way."""

    def __init__(self, said: Conversation) -> None:
        self._said = said
        self._started = time.perf_counter()
        self.outcome = Outcome(said.source_port)

    async def converse(self, timeout_s: float) -> Outcome:
        try:
            async with asyncio.timeout(timeout_s):
                await self._connect_and_speak()
        except (OSError, EOFError, TimeoutError, WrongBytesError) as error:
            self.outcome.failure = f"{type(error).__name__} {error}".strip()
        self.outcome.ended_s = self._passed_s()
        return self.outcome

    async def _connect_and_speak(self) -> None:
        anywhere = "::" if ":" in self._said.address else "0.0.0.0"
        reader, writer = await asyncio.open_connection(
            self._said.address, self._said.port, local_addr=(anywhere, self._said.source_port))
        try:
            self.outcome.connected_s = self._passed_s()
            await self._speak(reader, writer)
        finally:
            writer.close()

    async def _speak(self, reader: StreamReader, writer: StreamWriter) -> None:
        if self._said.port == Peer.GREETS:
            await self._hear(reader, BANNER)
        for turn in range(self._said.turns):
            words = b"turn %d of %d" % (turn, self._said.source_port)
            writer.write(words)
            await self._hear(reader, words)
        data = pseudorandom(self._said.source_port, self._said.stream_bytes)
        writer.write(data)
        writer.write_eof()
        digest = hashlib.sha256()
        while piece := await reader.read(PIECE_BYTES):
            self._note_first_byte()
            digest.update(piece)
        if digest.digest() != hashlib.sha256(data).digest():
            raise WrongBytesError("in the stream")

    async def _hear(self, reader: StreamReader, wanted: bytes) -> None:
        heard = await reader.readexactly(1)
        self._note_first_byte()
        heard += await reader.readexactly(len(wanted) - 1)
        if heard != wanted:
            raise WrongBytesError(f"{heard!r} for {wanted!r}")

    def _note_first_byte(self) -> None:
        if self.outcome.first_byte_s is None:
            self.outcome.first_byte_s = self._passed_s()

    def _passed_s(self) -> float:
        return time.perf_counter() - self._started


def converse(lab: Lab, conversations: Sequence[Conversation], *, timeout_s: float,
             at_once: int | None = None) -> list[Outcome]:
    """Hold them all from the client namespace, `at_once` at a time, all by default."""
    at_once = at_once or len(conversations)
    order = json.dumps({"timeout_s": timeout_s, "at_once": at_once,
                        "conversations": [dataclasses.asdict(one) for one in conversations]})
    rounds = -(-len(conversations) // at_once)
    done = lab.client.run(python_module("appliance.lab.dialogues"), input=order,
                          seconds=START_S + timeout_s * rounds)
    return [Outcome(**outcome) for outcome in json.loads(done.stdout)]


async def hold(conversations: Sequence[Conversation], timeout_s: float,
               at_once: int) -> list[Outcome]:
    places = asyncio.Semaphore(at_once)

    async def in_its_place(said: Conversation) -> Outcome:
        async with places:
            return await _Speaker(said).converse(timeout_s)

    return await asyncio.gather(*map(in_its_place, conversations))


def main() -> None:
    order = json.load(sys.stdin)
    conversations = [Conversation(**one) for one in order["conversations"]]
    outcomes = asyncio.run(hold(conversations, order["timeout_s"], order["at_once"]))
    print(json.dumps([dataclasses.asdict(outcome) for outcome in outcomes]))


if __name__ == "__main__":
    main()
