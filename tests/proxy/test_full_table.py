"""A table that is filled over and over: what is active stays, whoever else comes.

`make full-table` does it with four million connections, ten times over.
"""

import os

import pytest
from cython_core._testing_crowd import Crowd

from .harness import START_MS, Proxy, service

ROOM = int(os.environ.get("TABLE_ROOM", 1 << 16))
FILLS = int(os.environ.get("TABLE_FILLS", 4))
ACTIVE_EACH = 4             # every so many-th connection stays
STEP_MS = 1000              # between two fills
BURST = 64


@pytest.fixture
def box():
    return Proxy(service(early_data=True), connections=ROOM, half_open=ROOM // 4).box


def active(numbers) -> range:
    return numbers[::ACTIVE_EACH]


def passing(numbers) -> list[int]:
    return [number for number in numbers if number % ACTIVE_EACH]


def assert_all_go_on(box, crowd, numbers) -> None:
    """A segment of each side is translated."""
    for first in range(0, len(numbers), BURST):
        for step, from_client in (("client's ACK", True), ("server's ACK", False)):
            frames = crowd.frames_of(numbers[first:first + BURST], step)
            verdicts, _ = box.run(frames, from_client)
            assert set(verdicts) == {"translate"}


@pytest.mark.timeout(3600)
def test_no_active_connection_makes_room(box):
    crowd = Crowd(box, (FILLS + 1) * ROOM)
    now_ms, first = START_MS, range(ROOM)
    crowd.open(now_ms, first)
    crowd.serve(now_ms, first)
    assert box.gauges()["connections"] == ROOM
    crowd.close(now_ms, passing(first))
    for fill in range(1, FILLS + 1):
        now_ms += STEP_MS
        comers = passing(range(fill * ROOM, (fill + 1) * ROOM))
        crowd.open(now_ms, comers)
        crowd.serve(now_ms, comers)
        crowd.close(now_ms, comers)
        assert box.counters()["conn_evicted"] == fill * len(comers)
        assert_all_go_on(box, crowd, active(first))
    assert box.counters()["table_full"] == 0


@pytest.mark.timeout(3600)
def test_nor_does_it_where_all_are_active_and_more_knock(box):
    crowd = Crowd(box, (FILLS + 1) * ROOM)
    crowd.open(START_MS, range(ROOM))
    crowd.serve(START_MS, range(ROOM))
    for fill in range(1, FILLS + 1):
        crowd.knock(START_MS + fill * STEP_MS, range(fill * ROOM, (fill + 1) * ROOM))
    assert box.counters()["table_full"] == FILLS * ROOM
    assert box.counters()["conn_evicted"] == 0
    assert_all_go_on(box, crowd, range(ROOM))
