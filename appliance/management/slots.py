"""Which service has which slot of the data plane.

A service has its slot as long as it is there, and behind its end as long as it has connections: it
leaves.
"""

import itertools
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

from appliance.management.change_errors import NoSlotError


class Tenant(NamedTuple):
    """A service, and no other that was called so before or will be later."""

    name: str
    number: int         # from 1 on, in the order in which they came


class Slots:
    def __init__(self, names: Iterable[str], limit: int) -> None:
        """`limit` is how many slots there are."""
        self.of: Mapping[str, int] = {name: slot for slot, name in enumerate(names)}
        self._names: Mapping[int, str] | None = None    # by slot, once somebody has asked
        self._tenants: Mapping[int, Tenant] | None = None   # likewise
        self._came = itertools.count(1)
        self._numbers = {name: next(self._came) for name in self.of}    # ascending
        self._order: tuple[list[str], list[int]] | None = None      # likewise, once asked for
        self._left: dict[int, str] = {}     # by whom it is being left
        self.limit = limit

    def __getitem__(self, name: str) -> int:
        return self.of[name]

    def slot_of(self, name: str) -> int | None:
        """The one that it has, or is leaving; None where there is none."""
        if name in self.of:
            return self.of[name]
        return next((slot for slot, left in self._left.items() if left == name), None)

    def names(self) -> Mapping[int, str]:
        """By slot, in the order in which the services came."""
        if self._names is None:
            self._names = {slot: name for name, slot in self.of.items()}
        return self._names

    def tenants(self) -> Mapping[int, Tenant]:
        """Likewise."""
        if self._tenants is None:
            self._tenants = {slot: Tenant(name, self._numbers[name])
                             for name, slot in self.of.items()}
        return self._tenants

    def behind(self, number: int, count: int) -> list[Tenant]:
        """The first `count` of those that came later than whoever has, or had, this number."""
        if self._order is None:
            self._order = list(self._numbers), list(self._numbers.values())
        names, numbers = self._order
        first = bisect_right(numbers, number)
        page = slice(first, first + count)
        return [*map(Tenant, names[page], numbers[page])]

    def name_of(self, slot: int) -> str:
        """Of who has it, or is leaving it; "" where nobody does."""
        return self._left.get(slot) or self.names().get(slot, "")

    def given(
        self, names: Collection[str], leaving: Collection[int], of: Mapping[str, int] | None = None,
    ) -> dict[str, int]:
        """What these services are to have, of which some may be new: each the slot that it has, or
        had and hasn't left yet.  `leaving` are the slots that are being left; `of` are those of
        all once others have come, too.  Raises NoSlotError."""
        of = self.of if of is None else of
        left = {name: slot for slot, name in self._left.items() if slot in leaving}
        known = {**left, **of}
        taken = {*of.values(), *leaving}
        new = sum(name not in known for name in names)
        if len(taken) + new > self.limit:
            raise NoSlotError(
                f"limits.services is {self.limit}: {len(of)} services and"
                f" {len(taken) - len(of)} whose connections go on"
            )
        free = (slot for slot in itertools.count() if slot not in taken)
        return {name: known[name] if name in known else next(free) for name in names}

    def take(self, of: Mapping[str, int]) -> None:
        """They are published."""
        if of is self.of:
            return
        self._left |= {slot: name for name, slot in self.of.items() if name not in of}
        self._numbers = {name: number for name, number in self._numbers.items() if name in of}
        self._numbers |= {name: next(self._came) for name in of if name not in self.of}
        self.of = of
        self._names = self._tenants = self._order = None

    def forget_all_but(self, leaving: Collection[int]) -> None:
        """What is being left; who has left the other slots is done."""
        self._left = {slot: name for slot, name in self._left.items() if slot in leaving}
