"""Batches of frames, recorded as they went through one proxy, to be put through others.

Clients of both families with all combinations of options go the whole way, in bursts of odd sizes,
and among them is what must not go it: wrong cookies, damaged bytes.  Whoever has the same keys and
the same clock answers a batch with the same bytes, however it computes them.

    PYTHONPATH=tests python -P -m proxy.recorded    a digest of what came out, of each of VECTORS
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from itertools import cycle, islice, product

from cython_core.wire import vector as vectors

from .connection import CLIENT_TSVAL, SYN_IPV4, SYN_IPV6, Connection
from .harness import Proxy
from .segments import Segment, replace

SIZES = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64)
TABLES = {"connections": 4096, "half_open": 1024}
MSS, WSCALE, TSVAL = (None, 536, 1400, 1460), (None, 0, 14), (None, CLIENT_TSVAL)
TAGS = ((), ((0x8100, 7),), ((0x88A8, 7), (0x8100, 9)))
PAYLOADS = (8, 63, 64, 65, 127, 128, 129, 1001, 1400)
DAMAGED = 0.2
CHECKSUM_AT = 16                    # in the TCP header: RFC 9293 §3.1


@dataclass(frozen=True)
class Batch:
    frames: tuple[bytes, ...]
    from_client: bool


@dataclass(frozen=True)
class Answer:
    verdicts: tuple[str, ...]
    sent: tuple[tuple[bool, bytes], ...]    # (to the server, frame)


class Recorder:
    """Puts frames through a proxy and keeps them, burst by burst."""

    def __init__(self):
        self.proxy = Proxy(vector=vectors.VECTORS[0], **TABLES)
        self.batches: list[Batch] = []
        self._sizes = cycle(SIZES)

    def put(self, frames: Iterable[bytes], from_client: bool) -> list[bytes]:
        """What was sent for them."""
        rest, sent = iter(frames), []
        while burst := tuple(islice(rest, next(self._sizes))):
            self.batches.append(Batch(burst, from_client))
            sent += [frame for _, frame in self.proxy.box.run(list(burst), from_client)[1]]
        return sent


def syns(chance: random.Random) -> Iterator[Segment]:
    """Each combination of options, of either family, under the tags in turn."""
    tags = cycle(TAGS)
    for base, mss, wscale, sack, tsval in product(
            (SYN_IPV4, SYN_IPV6), MSS, WSCALE, (False, True), TSVAL):
        yield replace(
            base, mss=mss, wscale=wscale, sack_permitted=sack, tsval=tsval, tags=next(tags),
            tsecr=None if tsval is None else 0, seq=chance.randrange(2**32),
            sport=chance.randrange(1024, 65536))


def damaged(frame: bytes, chance: random.Random) -> bytes:
    """One bit of the last bytes, all of them payload, is another."""
    at = len(frame) - 1 - chance.randrange(PAYLOADS[0])
    return frame[:at] + bytes([frame[at] ^ 1 << chance.randrange(8)]) + frame[at + 1:]


def data(segment: Segment, chance: random.Random) -> bytes:
    return replace(segment, flags="PA", payload=chance.randbytes(chance.choice(PAYLOADS))).frame()


def some_damaged(segments: Iterable[Segment], chance: random.Random) -> Iterator[bytes]:
    for segment in segments:
        frame = data(segment, chance)
        yield damaged(frame, chance) if chance.random() < DAMAGED else frame


def zero_sums(segment: Segment) -> list[bytes]:
    """What has a checksum of zero: as that, as its other form, and one beside either."""
    payload = bytes(1000)
    l4 = len(replace(segment, payload=payload).frame()) - len(payload) - header_bytes(segment)
    first = replace(segment, payload=payload).frame()
    # What the checksum was becomes data: then the sum is its own complement's.
    frame = first[:-2] + first[l4 + CHECKSUM_AT:l4 + CHECKSUM_AT + 2]
    return [frame[:l4 + CHECKSUM_AT] + checksum + frame[l4 + CHECKSUM_AT + 2:]
            for checksum in (b"\x00\x00", b"\xff\xff", b"\x00\x01", b"\xff\xfe")]


def header_bytes(segment: Segment) -> int:
    """Of TCP, with its options."""
    return 20 if segment.tsval is None else 32


@cache
def recorded() -> tuple[Batch, ...]:
    chance, recorder = random.Random(33), Recorder()
    conns = [Connection(recorder.proxy, syn, server_isn=chance.randrange(2**32))
             for syn in syns(chance)]
    answered = recorder.put((conn.syn.frame() for conn in conns), True)
    for conn, synack in zip(conns, answered, strict=True):
        conn.synack = Segment.read(synack)
    opened = recorder.put(acks(conns, chance), True)
    for conn, syn in zip(conns, opened, strict=True):
        conn.server_syn = Segment.read(syn)
    recorder.put((conn.server_synack.frame() for conn in conns), False)
    recorder.put(some_damaged((conn.client() for conn in conns), chance), True)
    recorder.put(some_damaged((conn.server() for conn in conns), chance), False)
    for side, from_client in ((Connection.client, True), (Connection.server, False)):
        recorder.put((frame for conn in conns for frame in zero_sums(side(conn))), from_client)
    recorder.put(all_at_once(conns, chance), True)
    return tuple(recorder.batches)


def acks(conns: Sequence[Connection], chance: random.Random) -> Iterator[bytes]:
    """Of each client one that counts, behind two that don't."""
    for conn in conns:
        yield replace(conn.ack, ack=chance.randrange(2**32)).frame()
        yield damaged(data(conn.ack, chance), chance)
        yield conn.ack.frame()


def all_at_once(conns: Sequence[Connection], chance: random.Random) -> list[bytes]:
    """SYNs of old and new clients, data and ends, in any order."""
    frames = [frame for conn in conns for frame in (
        conn.syn.frame(), replace(conn.syn, sport=conn.syn.sport ^ 1).frame(),
        *some_damaged([conn.client(), conn.client()], chance),
        conn.client(flags="FA").frame())]
    chance.shuffle(frames)
    return frames


@cache
def answers(vector: str) -> tuple[Answer, ...]:
    """What becomes of the batches, one by one, with these vectors."""
    box = Proxy(vector=vector, **TABLES).box
    out = (box.run(list(batch.frames), batch.from_client) for batch in recorded())
    return tuple(Answer(tuple(verdicts), tuple(sent)) for verdicts, sent in out)


def main() -> int:
    for vector in vectors.VECTORS:
        print(sha256(repr(answers(vector)).encode()).hexdigest())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
