"""How busy the workers were lately: what each window sees of what they count."""

from dataclasses import replace

import pytest

from appliance.management.samples import WINDOWS_S, Samples

from .plane import HZ, Plane, worker_state


@pytest.fixture
def plane():
    plane = Plane()
    plane.states = [worker_state()]
    return plane


@pytest.fixture
def samples(plane):
    return Samples(plane)


def pass_on(plane, seconds=1.0, busy=0.0, frames=0, bursts=0):
    """A worker's time, of which it was that share busy."""
    (state,) = plane.states
    cycles = round(seconds * HZ)
    plane.states = [replace(
        state, cycles=state.cycles + cycles, busy_cycles=state.busy_cycles + round(busy * cycles),
        turns=state.turns + cycles // 10, frames=state.frames + frames,
        bursts=state.bursts + bursts)]


def looked(plane, samples, seconds, **work):
    for _ in range(seconds):
        pass_on(plane, **work)
        samples.look()


def loads(samples):
    ((_, loads),) = samples.workers()
    return loads


def busy(samples):
    return [round(load.busy, 4) for load in loads(samples)]


def test_the_windows_are_1_10_and_60_seconds(plane, samples):
    looked(plane, samples, 100)
    assert [load.window_s for load in loads(samples)] == [1, 10, 60] == list(WINDOWS_S)
    assert [load.span_s for load in loads(samples)] == [1, 10, 60]


def test_each_window_has_its_own_share(plane, samples):
    looked(plane, samples, 100)
    assert busy(samples) == [0, 0, 0]
    looked(plane, samples, 1, busy=0.8)
    assert busy(samples) == [0.8, 0.08, round(0.8 / 60, 4)]
    looked(plane, samples, 9)
    assert busy(samples) == [0, 0.08, round(0.8 / 60, 4)]
    looked(plane, samples, 1)
    assert busy(samples) == [0, 0, round(0.8 / 60, 4)]
    looked(plane, samples, 50)
    assert busy(samples) == [0, 0, 0]


def test_what_came_since_the_last_look_counts_as_well(plane, samples):
    looked(plane, samples, 20)
    pass_on(plane, seconds=0.5, busy=1.0)
    last = loads(samples)[0]
    assert last.span_s == 1.5
    assert last.busy == pytest.approx(1 / 3)


def test_a_worker_that_has_just_begun_is_told_since_its_start(plane, samples):
    assert [(load.span_s, load.busy, load.turns_per_s) for load in loads(samples)] == [
        (0, 0, 0)] * 3
    pass_on(plane, seconds=0.25, busy=0.5)
    assert [(load.span_s, load.busy) for load in loads(samples)] == [(0.25, 0.5)] * 3


def test_workers_share_what_they_keep_and_not_what_they_hand_over(plane, samples):
    """Of 10,000 frames: one has received all, and handed a quarter of them over."""
    plane.states = [
        worker_state(lcore=1, cycles=HZ, frames=10_000, bursts=500, handed_out=2500),
        worker_state(lcore=2, cycles=HZ, frames=2500, bursts=100, handed_in=2500)]
    (_, (first, *_)), (_, (second, *_)) = samples.workers()
    assert (first.share, first.handed_in_per_s, first.handed_out_per_s) == (0.75, 0, 2500)
    assert (second.share, second.handed_in_per_s, second.handed_out_per_s) == (0.25, 2500, 0)


def test_workers_without_frames_have_no_share(samples):
    assert {load.share for load in loads(samples)} == {0}


def test_a_look_that_comes_late_makes_no_share_wrong(plane, samples):
    looked(plane, samples, 20)
    pass_on(plane, seconds=7, busy=0.5)     # no look meanwhile
    samples.look()
    assert loads(samples)[0].span_s == 7
    assert busy(samples)[0] == 0.5


def test_rates_and_bursts(plane, samples):
    looked(plane, samples, 20, frames=640, bursts=40)
    for load in loads(samples):
        assert load.frames_per_s == 640
        assert load.frames_per_burst == 16
        assert load.turns_per_s == HZ // 10


def test_no_burst_has_no_length(plane, samples):
    looked(plane, samples, 2)
    assert loads(samples)[0].frames_per_burst == 0


def test_no_more_is_kept_than_the_longest_window_needs(plane, samples):
    looked(plane, samples, 500, busy=0.5)
    assert len(samples._looks) == max(WINDOWS_S) + 1


def test_the_fewest_free_buffers_are_remembered(plane, samples):
    for in_use in (100, 1000, 50):
        plane.in_use = in_use
        samples.look()
    ((pool, free_min),) = samples.mempools()
    assert (pool.size - pool.in_use, free_min) == (973, 23)
