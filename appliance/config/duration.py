"""Durations as people write them: "8h", "1h30m", "1.5s", "200ms".

A superset of the JSON form of google.protobuf.Duration, "5400s".
"""

import re
from decimal import Decimal

from google.protobuf.duration_pb2 import Duration

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000

# Each unit once, largest first.  Digits are bounded, so that no product leaves 64 bits.
_TEXT = re.compile(
    r"(?=\d)(?:(\d{1,6})h)?(?:(\d{1,8})m(?!s))?(?:(\d{1,9}(?:\.\d{1,9})?)s)?(?:(\d{1,9})ms)?",
    re.ASCII,
)


def duration_parse(text: str) -> Duration:
    """Raises ValueError with the reason."""
    match = _TEXT.fullmatch(text)
    if not match:
        unit = "; it needs a unit" if text.isdecimal() else ""
        raise ValueError(f"must be a duration such as 30s, 5m or 1h30m, not {text}{unit}")
    hours, minutes, seconds, milliseconds = match.groups(default="0")
    whole_s = int(hours) * 3600 + int(minutes) * 60
    total_ns = int((whole_s + Decimal(seconds)) * NS_PER_S) + int(milliseconds) * NS_PER_MS
    return duration_of(total_ns)


def duration_of(total_ns: int) -> Duration:
    """Not below zero."""
    return Duration(seconds=total_ns // NS_PER_S, nanos=total_ns % NS_PER_S)


def duration_ns(value: Duration) -> int:
    return int(value.seconds) * NS_PER_S + int(value.nanos)


def duration_text(total_ns: int) -> str:
    """The shortest writing that duration_parse reads back; for durations not below zero."""
    if 0 < total_ns < NS_PER_S and total_ns % NS_PER_MS == 0:
        return f"{total_ns // NS_PER_MS}ms"
    whole_s, rest_ns = divmod(total_ns, NS_PER_S)
    hours, minutes, seconds = whole_s // 3600, whole_s // 60 % 60, whole_s % 60
    last = f"{seconds + Decimal(rest_ns) / NS_PER_S:f}s" if seconds or rest_ns else ""
    text = (f"{hours}h" if hours else "") + (f"{minutes}m" if minutes else "") + last
    return text or "0s"
