"""How fast memory grows, as the soaks measure it: tests/bench/growth.py."""

import importlib.util
import sys
from pathlib import Path

import pytest

GROWTH = Path(__file__).parent / "bench" / "growth.py"
EACH_S = 36             # a hundredth of an hour
STRAYS = (0, 3, -2, 1, -3, 2, 4, -1, -4, 0)     # KiB


@pytest.fixture(scope="module")
def measure():
    spec = importlib.util.spec_from_file_location("growth", GROWTH)
    module = importlib.util.module_from_spec(spec)
    sys.modules["growth"] = module      # where its dataclass looks for itself
    yield spec.loader.exec_module(module) or module
    del sys.modules["growth"]


def readings(slope, count=100, strays=STRAYS):
    """By so many KiB an hour."""
    return ([at * EACH_S for at in range(count)],
            [50_000 + slope * at / 100 + strays[at % len(strays)] for at in range(count)])


def test_a_line_is_measured_exactly(measure):
    grown = measure.growth(*readings(700, strays=(0,)))
    assert grown.slope == pytest.approx(700)
    assert grown.margin == pytest.approx(0, abs=1e-3)
    assert (grown.readings, grown.seconds) == (100, 99 * EACH_S)


@pytest.mark.parametrize("slope", [-2000, 0, 500, 5000])
def test_what_strays_is_within_the_margin(measure, slope):
    grown = measure.growth(*readings(slope))
    assert 0 < grown.margin < 10
    assert abs(grown.slope - slope) < grown.margin


def test_fewer_readings_are_less_sure(measure):
    many, few = (measure.growth(*readings(0, count)) for count in (100, 10))
    assert few.margin > 10 * many.margin
    assert measure.growth(*readings(0, 2)) is None


def test_what_is_filled_first_is_no_growth(measure):
    times_s, kib = readings(0)
    filled = [value - max(5000 - 250 * at, 0) for at, value in enumerate(kib)]
    assert measure.growth(times_s, filled).slope > 1000
    assert abs(measure.growth(*measure.settled(times_s, filled)).slope) < 10


@pytest.mark.parametrize(("slope", "count", "seconds", "words"), [
    (500, 100, 3600, []), (1500, 100, 3600, ["memory grows"]),
    # An hour must show that it is below; less than that, that it isn't above.
    (1020, 20, 3600, ["it isn't sure"]), (1020, 20, 720, []),
    (0, 2, 90, []), (500_000, 2, 90, ["memory has grown"]),
])
def test_more_than_a_mib_an_hour_is_a_fault(measure, slope, count, seconds, words):
    times_s, kib = readings(slope, count)
    faults = measure.growth_faults(measure.growth(times_s, kib), kib, seconds)
    assert [fault.partition(":")[0][:len(word)]
            for fault, word in zip(faults, words, strict=True)] == words
