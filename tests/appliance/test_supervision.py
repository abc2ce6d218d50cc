"""What the daemon does beside serving goes on, whatever fails in it."""

import asyncio

import pytest

from appliance import supervision
from appliance.lab.waiting import until
from appliance.management import samples

SOON_S = 10


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(supervision, "AGAIN_S", 0.01)


def test_what_fails_by_a_mistake_of_ours_is_told_and_begins_again(soon, capfd):
    begun: list[int] = []
    kept = supervision.Supervision()

    async def work():
        begun.append(len(begun))
        if len(begun) < 3:
            raise ZeroDivisionError
        await asyncio.sleep(60)

    async def run():
        task = kept.keep("work", work)
        assert kept.failures == {"work": 0}
        while len(begun) < 3:
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        return task.cancelled()

    assert asyncio.run(run())
    assert begun == [0, 1, 2]
    assert kept.failures == {"work": 2}
    told = capfd.readouterr().err
    assert told.count("work begins again after:") == 2
    assert told.count("\nZeroDivisionError\n") == 2


def test_what_goes_on_failing_begins_later_each_time(monkeypatch):
    waited: list[float] = []

    async def sleep(seconds):
        waited.append(seconds)
        if len(waited) == 8:
            raise asyncio.CancelledError

    async def work():
        raise ZeroDivisionError

    async def run():
        await supervision.Supervision().keep("work", work)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(run())
    assert waited == [1, 2, 4, 8, 16, 32, 60, 60]


def test_the_look_at_the_workers_goes_on_after_a_mistake_in_it(soon, monkeypatch, daemon):
    monkeypatch.setattr(samples, "LOOK_S", 0.01)
    kept, good = daemon.server._supervision, daemon.plane.states
    assert kept.failures == {"samples": 0}
    daemon.plane.states = None      # which nothing is prepared for
    until(lambda: kept.failures["samples"] >= 2, seconds=SOON_S, what="it to fail and begin again")
    daemon.plane.states = good
    looks = daemon.server._samples._looks
    looks.clear()
    until(lambda: len(looks) >= 2, seconds=SOON_S, what="looks")
