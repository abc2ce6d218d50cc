"""Durations read as people write them, and are written back the same."""

import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from appliance.config.duration import duration_ns, duration_parse, duration_text


@pytest.mark.parametrize(
    ("text", "seconds", "nanos"),
    [
        ("0s", 0, 0), ("4s", 4, 0), ("90s", 90, 0), ("200ms", 0, 200_000_000), ("5m", 300, 0),
        ("8h", 28800, 0), ("1h30m", 5400, 0), ("1h1m1s1ms", 3661, 1_000_000),
        ("1.5s", 1, 500_000_000), ("0.000000001s", 0, 1), ("28800s", 28800, 0),
        ("5m30ms", 300, 30_000_000),
    ],
)
def test_a_duration_is_read(text, seconds, nanos):
    assert duration_parse(text) == Duration(seconds=seconds, nanos=nanos)


@pytest.mark.parametrize(
    "text",
    ["", "s", "5", "-5s", "+5s", "5 s", "1d", "1m1h", "1s1s", ".5s", "1.s", "1e3s", "1:30",
     "0.0000000001s", "99999999999s", "5S", "٣s"],
)
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="must be a duration"):
        duration_parse(text)


@given(st.integers(0, 172_800 * 10**9))
def test_what_is_written_reads_back(total_ns):
    assert duration_ns(duration_parse(duration_text(total_ns))) == total_ns


@pytest.mark.parametrize("text", ["0s", "200ms", "1s", "1.5s", "1m", "1h30m", "48h", "8h1s"])
def test_the_short_form_is_kept(text):
    assert duration_text(duration_ns(duration_parse(text))) == text
