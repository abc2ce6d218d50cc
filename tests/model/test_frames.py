"""The model's frames are those that scapy makes, and are read as scapy reads them."""

import random
from ipaddress import ip_address

import pytest

from ..proxy.segments import Segment
from .frames import FRAME_BYTES_MIN, LETTERS, Said, Way, pack, unpack, way

ENDS = {4: way("198.51.100.7", 40000, "10.0.0.2", 80), 6: way("2001:db8::7", 40000, "fd00::2", 80)}


def some_said(chance: random.Random) -> Said:
    def number():
        return chance.randrange(2**32)

    timestamps = chance.random() < 0.5
    sack = tuple((number(), number()) for _ in range(chance.randrange(3)))
    return Said(
        flags=chance.randrange(256), seq=number(), ack=number(), window=chance.randrange(2**16),
        payload=chance.randbytes(chance.randrange(60)),
        mss=chance.choice([None, 1460]), wscale=chance.choice([None, 0, 14]),
        sack_permitted=chance.random() < 0.5 and len(sack) < 2,
        tsval=number() if timestamps else None, tsecr=number() if timestamps else None,
        sack=sack[:1] if timestamps else sack)


def as_segment(there: Way, said: Said) -> Segment:
    fields = said._asdict()
    fields["flags"] = "".join(letter for bit, letter in enumerate(LETTERS) if said.flags >> bit & 1)
    return Segment(str(ip_address(there.source)), str(ip_address(there.destination)),
                   there.sport, there.dport, **fields)


@pytest.mark.parametrize("family", ENDS)
def test_a_frame_says_the_same_to_scapy(family):
    chance, there = random.Random(family), ENDS[family]
    for _ in range(200):
        said = some_said(chance)
        frame = pack(there, said)
        read, expected = Segment.read(frame), as_segment(there, said)
        assert read == expected
        assert unpack(frame) == (there, said)
        assert unpack(expected.frame()) == (there, said)


@pytest.mark.parametrize("at", [20, 30, 40, 50, 53])
def test_a_bit_that_has_changed_is_seen(at):
    frame = bytearray(pack(ENDS[4], Said(2, seq=5)))
    frame[at] ^= 4
    with pytest.raises((AssertionError, ValueError)):
        unpack(bytes(frame))


def test_a_frame_is_padded_as_on_a_wire():
    assert len(pack(ENDS[4], Said(2))) == FRAME_BYTES_MIN
