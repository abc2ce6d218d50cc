"""A table that is filled over and over: what is active stays, whoever else comes, and the others go
by class (proxy/room).

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
STEPS = 16                  # entries that are looked at for one that comes
CLASS_EACH = STEPS // 4     # of them: active, idle, unused, opening
ACTIVE_TICKS = 2


@pytest.fixture
def box():
    return Proxy(service(early_data=True), connections=ROOM, half_open=ROOM // 4).box


@pytest.fixture
def hasty_box():
    """Soon idle, and with a record for each handshake."""
    return Proxy(service(early_data=True, active_ticks=ACTIVE_TICKS), connections=ROOM,
                 half_open=ROOM // 2).box


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


def fill_by_class(box, crowd, now_ms: int) -> list[int]:
    """Every look of the hand meets as many of each class.  Those that are active, two ticks of the
    clock after the others have spoken last."""
    kinds = [[] for _ in range(4)]
    for first in range(0, ROOM, STEPS):
        block = [range(first + at * CLASS_EACH, first + (at + 1) * CLASS_EACH) for at in range(4)]
        crowd.open(now_ms, [*block[0], *block[1], *block[2]])
        crowd.knock(now_ms, block[3])
        for kind, numbers in zip(kinds, block, strict=True):
            kind += numbers
    crowd.serve(now_ms, kinds[0] + kinds[1])
    box.set_clock(now_ms + 2000)
    while box.counters()["server_syn_retrans"] < len(kinds[3]):
        box.tend()
    return kinds[0]


@pytest.mark.timeout(3600)
def test_the_classes_make_room_one_after_the_other(hasty_box):
    box, crowd, quarter = hasty_box, Crowd(hasty_box, 2 * ROOM), ROOM // 4
    now_ms = START_MS + 4 * (ACTIVE_TICKS + 1) * 1000
    stay = fill_by_class(box, crowd, START_MS)
    assert box.gauges()["connections"] == ROOM
    crowd.serve(now_ms, stay)
    made_room = dict.fromkeys(("opening_evicted", "unused_evicted", "idle_evicted"), 0)
    for at, name in enumerate(made_room, 4):
        comers = range(at * quarter, (at + 1) * quarter)
        crowd.open(now_ms, comers)
        crowd.serve(now_ms, comers)
        made_room[name] = quarter
        totals = box.counters()
        assert {name: totals[name] for name in made_room} == made_room
    crowd.knock(now_ms, range(7 * quarter, 8 * quarter))
    totals = box.counters()
    assert (totals["table_full"], totals["conn_evicted"]) == (quarter, 0)
    assert_all_go_on(box, crowd, stay)
    assert_all_go_on(box, crowd, range(4 * quarter, 7 * quarter))
