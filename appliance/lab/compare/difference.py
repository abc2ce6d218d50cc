"""Two performances of one script, held against each other field by field."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from difflib import SequenceMatcher
from itertools import groupby

from appliance.lab.compare.flow import Heard, Say, Side
from appliance.lab.compare.script import Script

FIELDS = tuple(field.name for field in fields(Heard) if field.name not in ("side", "turn"))
# The field's name where only one of the two was heard, or neither though ours ought to have been.
PRESENCE, OMITTED = "presence", "omitted"


@dataclass(frozen=True)
class Difference:
    """One field of one segment; `kernel` or `ours` is None where it was not sent at all.  Where it
    is OMITTED, `ours` is what it ought to be."""

    script: Script
    turn: int
    side: Side
    field: str
    kernel: Heard | None
    ours: Heard | None

    @property
    def said(self) -> Say:
        return self.script.says[self.turn]

    def __str__(self) -> str:
        where = f"{self.script.name}: after {self.said.side}'s {self.said.flags or 'no flags'} " \
                f"(turn {self.turn}), at the {self.side}"
        if self.field == OMITTED:
            return f"{where}: ours ought to send {self.ours}"
        if self.kernel is None:
            return f"{where}: ours alone sends {self.ours}"
        if self.ours is None:
            return f"{where}: the kernel alone sends {self.kernel}"
        return (f"{where}: {self.kernel.flags}: {self.field} is "
                f"{getattr(self.kernel, self.field)} by the kernel, "
                f"{getattr(self.ours, self.field)} by ours")


def differences(script: Script, kernel: Sequence[Heard],
                ours: Sequence[Heard]) -> Iterator[Difference]:
    """In the order in which they were heard: by turn, then at the client, then at the server."""
    by_kernel, by_ours = _by_place(kernel), _by_place(ours)
    for turn, side in sorted(by_kernel.keys() | by_ours.keys()):
        for one, other in _paired(by_kernel.get((turn, side), []), by_ours.get((turn, side), [])):
            if one is None or other is None:
                yield Difference(script, turn, side, PRESENCE, one, other)
                continue
            for field in FIELDS:
                if getattr(one, field) != getattr(other, field):
                    yield Difference(script, turn, side, field, one, other)


def _by_place(heard: Sequence[Heard]) -> dict[tuple[int, Side], list[Heard]]:
    def place(each: Heard) -> tuple[int, Side]:
        return each.turn, each.side

    return {at: list(group) for at, group in groupby(sorted(heard, key=place), key=place)}


def _paired(kernel: list[Heard], ours: list[Heard]) -> Iterator[tuple[Heard | None, Heard | None]]:
    """Segments of one kind are pairs, in their order; what is left over stands alone."""
    matcher = SequenceMatcher(None, [_kind(each) for each in kernel],
                              [_kind(each) for each in ours], autojunk=False)
    for tag, low, high, ours_low, ours_high in matcher.get_opcodes():
        if tag == "equal":
            yield from zip(kernel[low:high], ours[ours_low:ours_high], strict=True)
        else:
            yield from ((one, None) for one in kernel[low:high])
            yield from ((None, other) for other in ours[ours_low:ours_high])


def _kind(heard: Heard) -> tuple[str, bool]:
    return heard.flags, heard.payload_bytes > 0
