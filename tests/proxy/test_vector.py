"""Whichever vectors a worker uses, the same frames come out, byte by byte."""

import random
from functools import cache

import pytest

from cython_core.wire import vector as vectors

from .connection import SYN_IPV4, SYN_IPV6, Connection, plain
from .harness import Proxy
from .segments import Segment, replace

BURST = 64
ROUNDS = 4
DAMAGED = 0.2


def client(n: int, chance: random.Random) -> Segment:
    """Families and options in turn."""
    syn = (SYN_IPV4, SYN_IPV6, plain(SYN_IPV4), plain(SYN_IPV6))[n % 4]
    return replace(syn, sport=chance.randrange(1024, 65536), seq=chance.randrange(2**32))


def data(segment: Segment, chance: random.Random) -> bytes:
    """Of some, one bit of the payload is another than when the checksum was made."""
    payload = chance.randbytes(chance.randrange(8, 1400))
    frame = bytearray(replace(segment, flags="PA", payload=payload).frame())
    if chance.random() < DAMAGED:
        frame[-1 - chance.randrange(len(payload))] ^= 1 << chance.randrange(8)
    return bytes(frame)


@cache
def came_out(vector: str) -> list[tuple[list[str], list[tuple[bool, bytes]]]]:
    """Verdicts, and the frames sent, of each burst: SYNs, ACKs, SYN-ACKs, data of either side."""
    chance, proxy, out = random.Random(33), Proxy(vector=vector), []

    def burst(frames, from_client):
        out.append(proxy.box.run(frames, from_client))
        return [Segment.read(frame) for _, frame in out[-1][1]]

    for _ in range(ROUNDS):
        conns = [Connection(proxy, client(n, chance), server_isn=chance.randrange(2**32))
                 for n in range(BURST)]
        synacks = burst([conn.syn.frame() for conn in conns], True)
        for conn, synack in zip(conns, synacks, strict=True):
            conn.synack = synack
        syns = burst([conn.ack.frame() for conn in conns], True)
        for conn, syn in zip(conns, syns, strict=True):
            conn.server_syn = syn
        burst([conn.server_synack.frame() for conn in conns], False)
        burst([data(conn.client(), chance) for conn in conns], True)
        burst([data(conn.server(), chance) for conn in conns], False)
    return out


@pytest.mark.parametrize("vector", vectors.VECTORS)
def test_all_vectors_give_the_same_bytes(vector):
    for ours, narrowest in zip(came_out(vector), came_out(vectors.VECTORS[0]), strict=True):
        assert ours == narrowest


@pytest.mark.parametrize("vector", vectors.VECTORS)
def test_bursts_go_their_way_whichever_vectors_there_are(vector):
    syns, acks, synacks, *both = (set(verdicts) for verdicts, _ in came_out(vector)[:5])
    assert (syns, acks) == ({"to_client"}, {"to_server"})
    assert len(synacks) == 1
    assert both == [{"translate", "tcp_checksum"}] * 2
