"""Another process goes on with those who wait for their turn: proxy/pacing, proxy/adoption."""

import mmap

import pytest
from cython_core._testing_shards import adopt, file_bytes

from .harness import Proxy, service
from .test_pacing import come, heard, paced

SIZES = {"connections": 64, "half_open": 32, "servers": 1024}


def heir_of(memory, *services, **sizes) -> tuple[Proxy, dict]:
    heir = Proxy(*services, table_key=(7, 8), **(SIZES | sizes))
    return heir, adopt([heir.box], memory[:])


@pytest.fixture
def memory():
    size = file_bytes(1, *SIZES.values())
    return mmap.mmap(-1, -(-size // mmap.PAGESIZE) * mmap.PAGESIZE)


def test_after_a_restart_those_who_waited_wait_anew_and_the_others_are_said_at_once(memory):
    proxy = Proxy(paced(rate=10, burst=2), memory=memory, **SIZES)
    come(proxy, 6)
    heir, tally = heir_of(memory, paced(rate=10, burst=1))
    assert (tally["adopted"], heir.gauges.paced, heir.gauges.half_open) == (6, 4, 6)
    syns = heard(heir, 900)
    at_once, in_turn = (sorted(n for _, n in part) for part in (
        [one for one in syns if one[1] < 2], [one for one in syns if one[1] >= 2]))
    assert (at_once, in_turn) == ([0, 1], [2, 3, 4, 5])
    turns = [ms for ms, n in syns if n >= 2]
    assert turns == [1, 101, 201, 301]
    assert max(ms for ms, n in syns if n < 2) <= 32


def test_where_nothing_is_paced_any_more_all_are_said_at_once(memory):
    proxy = Proxy(paced(rate=10), memory=memory, **SIZES)
    come(proxy, 6)
    heir, _ = heir_of(memory, service())
    assert sorted(n for _, n in heard(heir, 100)) == list(range(6))


def test_one_that_waited_is_asked_as_often_as_any_other(memory):
    proxy = Proxy(paced(rate=1), memory=memory, **SIZES)
    come(proxy, 2)
    heir, _ = heir_of(memory, paced(rate=1, syn_retries=5))
    flags = [(to_server, segment.flags) for to_server, segment in heir.clock.advance(90).sent
             if 1025 in (segment.sport, segment.dport)]
    assert flags == [(True, "S")] * 6 + [(False, "RA")]
