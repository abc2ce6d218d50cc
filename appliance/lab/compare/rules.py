"""Which differences from the kernel's SYNPROXY are meant: rules, and the judgement by them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from appliance.lab.compare.course import Course
from appliance.lab.compare.difference import OMITTED, PRESENCE, Difference, differences
from appliance.lab.compare.expected import outcomes
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

    @property
    def course(self) -> Course:
        """Ours."""
        return Course(self.difference.script, self.ours, self.difference.turn)

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

    @property
    def right(self) -> bool:
        """Ours is what ought to come of what was said: in the field that differs, or, where ours
        alone sends it, in all."""
        difference, ours = self.difference, self.difference.ours
        if ours is None:
            return False
        if difference.kernel is None:
            return self.ours_alone_is(*outcomes(self.course))
        return any((each.side, each.flags) == (ours.side, ours.flags)
                   and getattr(each, difference.field) == getattr(ours, difference.field)
                   for each in outcomes(self.course))

    def kernel_alone(self, side: Side) -> Heard | None:
        """What only the kernel sent to that end."""
        difference = self.difference
        alone = difference.field == PRESENCE and difference.side == side
        return difference.kernel if alone else None

    def ours_alone(self, side: Side) -> Heard | None:
        difference = self.difference
        alone = difference.field == PRESENCE and difference.side == side
        return difference.ours if alone else None

    def ours_alone_is(self, *outcomes: Heard | None) -> bool:
        """Only ours sent it, to the last field one of these, and once in its turn."""
        ours = self.difference.ours
        return (self.difference.field == PRESENCE and ours is not None and ours in outcomes
                and self.ours.count(ours) == 1)


@dataclass(frozen=True)
class Rule:
    """An intended difference.  What it `leads_to` holds only in the rest of the same script.

    `owes` is for where the kernel can't be asked: what ours must send in a turn while it holds.
    """

    name: str
    reason: str
    reference: str
    explains: Callable[[Meeting], object]
    leads_to: tuple["Rule", ...] = ()
    owes: Callable[[Course], Iterable[Heard]] | None = None


@dataclass
class Judgement:
    """Over all scripts: what each rule has explained, and what none has."""

    scripts: int = 0
    alike: int = 0                                              # without any difference
    applied: Counter[str] = field(default_factory=Counter)      # scripts, by rule
    unexplained: list[Difference] = field(default_factory=list)

    def judge(self, script: Script, kernel: Sequence[Heard], ours: Sequence[Heard],
              rules: Sequence[Rule]) -> None:
        """Each difference to the script's end is explained by itself, or not at all."""
        holding = dict.fromkeys(rules, 0)                       # and since which turn
        applied: set[str] = set()
        unexplained = len(self.unexplained)
        for difference in differences(script, kernel, ours):
            meeting = Meeting(difference, kernel, ours)
            rule = next((rule for rule in holding if rule.explains(meeting)), None)
            if rule is None:
                self.unexplained.append(difference)
                continue
            applied.add(rule.name)
            for later in rule.leads_to:
                holding.setdefault(later, difference.turn)
        for rule, turn in holding.items():
            self.unexplained += _omissions(script, ours, rule, turn)
        self.scripts += 1
        self.alike += not applied and len(self.unexplained) == unexplained
        self.applied.update(applied)

    def idle(self, rules: Sequence[Rule]) -> list[Rule]:
        """Rules that never applied: they may be left over from a former behaviour."""
        return [rule for rule in with_later(rules) if not self.applied[rule.name]]


def _omissions(script: Script, ours: Sequence[Heard], rule: Rule,
               since: int) -> Iterator[Difference]:
    """What ours owes by a rule, and has not sent."""
    if rule.owes is None:
        return
    for turn in range(since, len(script.says)):
        for due in rule.owes(Course(script, ours, turn)):
            if not any((each.turn, each.side, each.flags) == (turn, due.side, due.flags)
                       for each in ours):
                yield Difference(script, turn, due.side, OMITTED, None, due)


def with_later(rules: Sequence[Rule]) -> list[Rule]:
    """Behind them, each once, the rules that they lead to."""
    return [*dict.fromkeys((*rules, *(later for rule in rules for later in rule.leads_to)))]
