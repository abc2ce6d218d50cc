"""Which differences from the kernel's SYNPROXY are meant: rules, and the judgement by them."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from appliance.lab.compare.difference import PRESENCE, Difference, differences
from appliance.lab.compare.flow import Heard, Say, Side
from appliance.lab.compare.script import Script


@dataclass(frozen=True)
class Meeting:
    """A difference among all that was said and heard."""

    difference: Difference
    kernel: Sequence[Heard]
    ours: Sequence[Heard]

    @property
    def said(self) -> Say:
        """The segment that led to the difference."""
        return self.difference.said

    def so_far(self, side: Side) -> list[Say]:
        """What that end had said, this included."""
        says = self.difference.script.says[:self.difference.turn + 1]
        return [say for say in says if say.side == side]

    def ours_before(self, side: Side) -> list[Heard]:
        """What of ours that end had heard in earlier turns."""
        return [heard for heard in self.ours
                if heard.side == side and heard.turn < self.difference.turn]

    def field(self, side: Side, flags: Iterable[str], *names: str) -> tuple[Heard, Heard] | None:
        """The kernel's segment and ours, where both sent it with such flags and one of these
        fields is what differs."""
        difference = self.difference
        if (difference.side == side and difference.field in names and difference.kernel
                and difference.ours and difference.kernel.flags in flags):
            return difference.kernel, difference.ours
        return None

    def kernel_alone(self, side: Side) -> Heard | None:
        """What only the kernel sent to that end."""
        difference = self.difference
        alone = difference.field == PRESENCE and difference.side == side
        return difference.kernel if alone else None

    def ours_alone(self, side: Side) -> Heard | None:
        difference = self.difference
        alone = difference.field == PRESENCE and difference.side == side
        return difference.ours if alone else None


@dataclass(frozen=True)
class Rule:
    """An intended difference.  Where it `parts`, the two conversations are different ones from
    there, and are not compared any further."""

    name: str
    reason: str
    reference: str
    explains: Callable[[Meeting], object]
    parts: bool = False


@dataclass
class Judgement:
    """Over all scripts: what each rule has explained, and what none has."""

    scripts: int = 0
    alike: int = 0                                              # without any difference
    parted: int = 0
    applied: Counter[str] = field(default_factory=Counter)      # scripts, by rule
    unexplained: list[Difference] = field(default_factory=list)

    def judge(self, script: Script, kernel: Sequence[Heard], ours: Sequence[Heard],
              rules: Sequence[Rule]) -> None:
        applied: set[str] = set()
        unexplained = len(self.unexplained)
        for difference in differences(script, kernel, ours):
            meeting = Meeting(difference, kernel, ours)
            rule = next((rule for rule in rules if rule.explains(meeting)), None)
            if rule is None:
                self.unexplained.append(difference)
                continue
            applied.add(rule.name)
            if rule.parts:
                self.parted += 1
                break
        self.scripts += 1
        self.alike += not applied and len(self.unexplained) == unexplained
        self.applied.update(applied)

    def idle(self, rules: Sequence[Rule]) -> list[Rule]:
        """Rules that never applied: they may be left over from a former behaviour."""
        return [rule for rule in rules if not self.applied[rule.name]]
