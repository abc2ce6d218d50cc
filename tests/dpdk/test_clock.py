"""A worker's clock keeps to the kernel's whatever the TSC's rate is held to be, and never falls."""

from itertools import pairwise

import pytest
from cython_core._testing_clock import WorkerClock

NS_PER_S = 1_000_000_000
HELD_HZ = 2_600_000_000         # as DPDK has it, rounded to 10 MHz
STARTED_NS = 1_800_000_000 * NS_PER_S
BOOTTIME_NS = 3600 * NS_PER_S
TURNS_A_S = 7
RATES = {"slower by 1,486 ppm": 2_596_141_794, "as held": HELD_HZ,
         "faster by 1,900 ppm": 2_604_950_000}


@pytest.fixture
def clock():
    return WorkerClock(HELD_HZ, STARTED_NS, BOOTTIME_NS)


def readings(clock, hz, turns, stepped_ns=0):
    """What is told and what is true, turn by turn; `stepped_ns` is what CLOCK_BOOTTIME has more
    than the TSC has counted, as after the machine's sleep."""
    for turn in turns:
        cycles = turn * hz // TURNS_A_S
        passed_ns = cycles * NS_PER_S // hz + stepped_ns
        yield clock.told_ns(cycles, BOOTTIME_NS + passed_ns), STARTED_NS + passed_ns


@pytest.mark.parametrize("hz", RATES.values(), ids=RATES)
def test_it_is_never_off_by_more_than_the_tscs_error_in_two_seconds(clock, hz):
    most_ns = 2 * NS_PER_S * abs(hz - HELD_HZ) // hz + 1000
    before = 0
    for told, true in readings(clock, hz, range(86_400 * TURNS_A_S)):
        assert abs(told - true) <= most_ns
        assert told >= before
        before = told


@pytest.mark.parametrize("hz", RATES.values(), ids=RATES)
def test_what_it_has_slept_through_is_told_at_once(clock, hz):
    for _ in readings(clock, hz, range(10 * TURNS_A_S)):
        pass
    awake = list(readings(clock, hz, range(70 * TURNS_A_S, 75 * TURNS_A_S)))
    assert abs(awake[0][0] - awake[0][1]) <= NS_PER_S // 5
    assert abs(awake[-1][0] - awake[-1][1]) <= NS_PER_S // 100


@pytest.mark.parametrize("stepped_s", [3600, -2], ids=["far ahead", "behind"])
def test_it_comes_back_to_the_kernels_without_a_step(clock, stepped_s):
    for _ in readings(clock, HELD_HZ, range(10 * TURNS_A_S)):
        pass
    turns = range(10 * TURNS_A_S, 10 * TURNS_A_S + 3 * 3600 * TURNS_A_S)
    told = [now for now, _ in readings(clock, HELD_HZ, turns, stepped_s * NS_PER_S)]
    steps = [later - sooner for sooner, later in pairwise(told)]
    assert min(steps) >= NS_PER_S // (2 * TURNS_A_S) - 1000
    assert max(steps) <= 3 * NS_PER_S // (2 * TURNS_A_S) + 1000
    true_ns = STARTED_NS + turns[-1] * NS_PER_S // TURNS_A_S + stepped_s * NS_PER_S
    assert abs(told[-1] - true_ns) <= 1000
