"""Bulk transfers that go on and on: `python -m appliance.lab.traffic`.

A lane is a line of transfers from the client to one server, one after the other, each over a
connection of its own: up, down, or to and fro over one connection for as long as there is traffic.
Every byte is compared, and the longest time without any progress is noted.

An order is one JSON object on stdin; each transfer that has ended is a JSON line on stdout.  The
end of stdin is the end of the traffic: what is under way comes to its end, nothing new begins.
"""

import asyncio
import contextlib
import dataclasses
import enum
import hashlib
import itertools
import json
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from appliance.lab.namespace import LabError, python_module
from appliance.lab.peers import PIECE_BYTES, Peer, pseudorandom
from appliance.lab.topology import Lab, stop

Step = TypeVar("Step")

SEEDS = 16              # the payloads, made before the clock runs
SILENCE_MAX_S = 20
FAILED_PAUSE_S = 0.1    # who is refused at once doesn't fill the disk with it
END_S = 10              # from the last lane's end to the program's own


class Kind(enum.StrEnum):
    """Which way the bytes go, and so which peer is asked."""

    UP = "up"                   # the server answers with size and SHA-256
    DOWN = "down"               # the server supplies
    TO_AND_FRO = "to and fro"   # piece by piece, each echoed: one transfer until the end

    @property
    def peer(self) -> Peer:
        return {Kind.UP: Peer.ANSWERS_AT_END, Kind.DOWN: Peer.SUPPLIES,
                Kind.TO_AND_FRO: Peer.ECHOES}[self]


@dataclass(frozen=True)
class Lane:
    address: str
    kind: Kind
    transfer_bytes: int = 1 << 20
    transfers: int | None = None        # no more than so many
    pause_s: float = 0                  # between two pieces to and fro, or else two transfers
    # A transfer that makes no progress for so long is given up, and has failed.
    silence_max_s: float = SILENCE_MAX_S


@dataclass
class Transfer:
    """One that has ended.  Times are those of CLOCK_MONOTONIC, which all namespaces share."""

    lane: int
    kind: Kind
    began_s: float
    ended_s: float = 0
    carried_bytes: int = 0
    silence_s: float = 0        # the longest time without progress
    failure: str | None = None  # None: every byte was right


class Traffic(AbstractContextManager["Traffic"]):
    """Lanes in use, for the length of a `with` statement; at its end all has been said."""

    def __init__(self, lab: Lab, lanes: Sequence[Lane], name: str = "traffic") -> None:
        """`name` keeps several of a lab apart."""
        self._journal = lab.directory / f"{name}.journal"
        self._end_s = END_S + max(lane.silence_max_s for lane in lanes)
        with self._journal.open("wb") as lines:
            self._process = lab.start(lab.client, python_module("appliance.lab.traffic"),
                                      stdin=subprocess.PIPE, stdout=lines)
        order = json.dumps({"lanes": [dataclasses.asdict(lane) for lane in lanes]})
        assert self._process.stdin
        self._process.stdin.write(order.encode() + b"\n")
        self._process.stdin.flush()

    def __exit__(self, *reason: object) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.communicate(timeout=self._end_s)
        stop(self._process)
        if self._process.returncode:
            raise LabError(f"the traffic ended with exit {self._process.returncode}")

    def transfers(self) -> list[Transfer]:
        """Those that have ended so far."""
        lines = self._journal.read_text().splitlines(keepends=True)
        return [Transfer(**json.loads(line)) for line in lines if line.endswith("\n")]


def transfer_all(lab: Lab, lanes: Sequence[Lane]) -> list[Transfer]:
    """Lanes with an end, to their end."""
    order = json.dumps({"lanes": [dataclasses.asdict(lane) for lane in lanes]})
    most = max(lane.transfers or 0 for lane in lanes)
    done = lab.client.run(python_module("appliance.lab.traffic"), input=order + "\n",
                          seconds=END_S + most * max(lane.silence_max_s for lane in lanes))
    return [Transfer(**json.loads(line)) for line in done.stdout.splitlines()]


class WrongBytesError(Exception):
    """Something else came than was sent."""


@dataclass
class _Carrier:
    """One transfer under way."""

    lane: Lane
    seed: int
    payload: bytes
    ended: asyncio.Event
    transfer: Transfer
    _progress_s: float = field(default_factory=time.monotonic)

    async def carry(self) -> None:
        try:
            reader, writer = await self._heeded(
                asyncio.open_connection(self.lane.address, self.lane.kind.peer))
            try:
                await {Kind.UP: self._up, Kind.DOWN: self._down,
                       Kind.TO_AND_FRO: self._to_and_fro}[self.lane.kind](reader, writer)
            finally:
                writer.close()
        except (OSError, EOFError, TimeoutError, WrongBytesError) as error:
            self.transfer.failure = f"{type(error).__name__} {error}".strip()
        self.transfer.ended_s = time.monotonic()

    async def _up(self, reader: StreamReader, writer: StreamWriter) -> None:
        for at in range(0, len(self.payload), PIECE_BYTES):
            await self._send(writer, self.payload[at:at + PIECE_BYTES])
        writer.write_eof()
        wanted = f"{len(self.payload)} {hashlib.sha256(self.payload).hexdigest()}\n"
        if await self._heeded(reader.readline()) != wanted.encode():
            raise WrongBytesError("up")

    async def _down(self, reader: StreamReader, writer: StreamWriter) -> None:
        await self._send(writer, f"{self.seed} {len(self.payload)}\n".encode(), counted=False)
        digest = hashlib.sha256()
        while piece := await self._heeded(reader.read(PIECE_BYTES)):
            digest.update(piece)
            self.transfer.carried_bytes += len(piece)
        if digest.digest() != hashlib.sha256(self.payload).digest():
            raise WrongBytesError("down")

    async def _to_and_fro(self, reader: StreamReader, writer: StreamWriter) -> None:
        at = 0
        while not self.ended.is_set():
            piece = self.payload[at:at + PIECE_BYTES]
            await self._send(writer, piece)
            if await self._heeded(reader.readexactly(len(piece))) != piece:
                raise WrongBytesError("to and fro")
            await self._pause()
            at = (at + PIECE_BYTES) % len(self.payload)
        writer.write_eof()
        if await self._heeded(reader.read()):
            raise WrongBytesError("more than was sent")

    async def _pause(self) -> None:
        """Which is no silence of theirs."""
        await pause(self.lane.pause_s, self.ended)
        self._progress_s = time.monotonic()

    async def _send(self, writer: StreamWriter, piece: bytes, *, counted: bool = True) -> None:
        writer.write(piece)
        await self._heeded(writer.drain())
        self.transfer.carried_bytes += len(piece) if counted else 0

    async def _heeded(self, step: Awaitable[Step]) -> Step:
        """Wait for a step of progress, and note how long there had been none."""
        async with asyncio.timeout(self.lane.silence_max_s):
            done = await step
        now_s = time.monotonic()
        self.transfer.silence_s = max(self.transfer.silence_s, now_s - self._progress_s)
        self._progress_s = now_s
        return done


async def pause(seconds: float, ended: asyncio.Event) -> None:
    if not seconds:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()


def seeds(number: int, lane: Lane) -> list[int]:
    """Of the lane's payloads, in turn."""
    count = SEEDS if lane.transfers is None else min(lane.transfers, SEEDS)
    return [(number + at) % SEEDS for at in range(count)]


async def use(lane: Lane, number: int, payloads: Mapping[tuple[int, int], bytes],
              ended: asyncio.Event) -> None:
    endless = itertools.cycle(seeds(number, lane))
    for seed in itertools.islice(endless, lane.transfers):
        if ended.is_set():
            return
        carrier = _Carrier(lane, seed, payloads[seed, lane.transfer_bytes], ended,
                           Transfer(number, lane.kind, time.monotonic()))
        await carrier.carry()
        print(json.dumps(dataclasses.asdict(carrier.transfer)), flush=True)
        await pause(max(lane.pause_s, FAILED_PAUSE_S if carrier.transfer.failure else 0), ended)


async def serve(lanes: Sequence[Lane]) -> None:
    ended = asyncio.Event()
    endless = any(lane.transfers is None for lane in lanes)
    if endless:
        asyncio.get_running_loop().add_reader(sys.stdin, ended.set)
    payloads = {(seed, lane.transfer_bytes): pseudorandom(seed, lane.transfer_bytes)
                for number, lane in enumerate(lanes) for seed in seeds(number, lane)}
    await asyncio.gather(*(use(lane, number, payloads, ended)
                           for number, lane in enumerate(lanes)))


def main() -> None:
    said = json.loads(sys.stdin.readline())
    asyncio.run(serve([Lane(**{**lane, "kind": Kind(lane["kind"])}) for lane in said["lanes"]]))


if __name__ == "__main__":
    main()
