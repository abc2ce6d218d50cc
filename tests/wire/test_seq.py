"""Sequence numbers near the wrap (RFC 9293 §3.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cython_core import _testing_wire as wire

TOP = 2**32
number = st.integers(0, TOP - 1)
less_than_half = st.integers(1, TOP // 2 - 1)


@given(number, less_than_half)
def test_a_number_is_less_than_those_up_to_half_the_circle_ahead(a, ahead):
    b = (a + ahead) % TOP
    assert wire.seq_lt(a, b)
    assert wire.seq_leq(a, b)
    assert not wire.seq_lt(b, a)
    assert not wire.seq_leq(b, a)
    assert wire.seq_max(a, b) == wire.seq_max(b, a) == b


@given(number)
def test_a_number_is_not_less_than_itself(a):
    assert not wire.seq_lt(a, a)
    assert wire.seq_leq(a, a)


@given(number, number, number)
def test_within_takes_both_ends_and_nothing_outside(low, size, at):
    high = (low + size) % TOP
    assert wire.seq_within((low + at) % TOP, low, high) == (at <= size)


@pytest.mark.parametrize(
    ("value", "low", "high", "within"),
    [
        (0, 0xFFFFFFF0, 0x10, True),
        (0xFFFFFFF0, 0xFFFFFFF0, 0x10, True),
        (0x10, 0xFFFFFFF0, 0x10, True),
        (0x11, 0xFFFFFFF0, 0x10, False),
        (0xFFFFFFEF, 0xFFFFFFF0, 0x10, False),
        (0x80000000, 0x7FFFFFFF, 0x80000001, True),
    ],
)
def test_a_window_may_lie_across_the_wrap(value, low, high, within):
    assert wire.seq_within(value, low, high) is within


@pytest.mark.parametrize(
    ("then", "now", "ticks"), [(0, 5, 5), (0xFFFE, 3, 5), (7, 7, 0), (1, 0, 65535)]
)
def test_a_clock_of_16_bits_wraps(then, now, ticks):
    assert wire.ticks_since(then, now) == ticks
