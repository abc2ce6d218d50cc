"""Which service has which slot of the data plane.

A service has its slot as long as it is there, and behind its end as long as it has connections: it
leaves.
"""

import itertools
from bisect import bisect_right
from collections import ChainMap
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from appliance.management.change_errors import NoSlotError


class Tenant(NamedTuple):
    """A service, and no other that was called so before or will be later."""

    name: str
    number: int         # from 1 on, in the order in which they came


class Slots:
    def __init__(self, names: Iterable[str], limit: int) -> None:
        """`limit` is how many slots there are."""
        self._of = {name: slot for slot, name in enumerate(names)}
        self._by_slot = {slot: name for name, slot in self._of.items()}
        self._lowest = len(self._of)        # no slot below it is free
        self._came = itertools.count(1)
        self._numbers = {name: next(self._came) for name in self._of}   # ascending
        # What is worked out once somebody has asked, until the next change.
        self._names: Mapping[int, str] | None = None
        self._tenants: Mapping[int, Tenant] | None = None
        self._order: tuple[list[str], list[int]] | None = None
        self._left: dict[int, str] = {}     # by whom it is being left
        self.limit = limit

    def __getitem__(self, name: str) -> int:
        return self._of[name]

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def slot_of(self, name: str) -> int | None:
        """The one that it has, or is leaving; None where there is none."""
        if name in self._of:
            return self._of[name]
        return next((slot for slot, left in self._left.items() if left == name), None)

    def names(self) -> Mapping[int, str]:
        """By slot, in the order in which the services came."""
        if self._names is None:
            self._names = dict(self._by_slot)
        return self._names

    def tenants(self) -> Mapping[int, Tenant]:
        """Likewise."""
        if self._tenants is None:
            self._tenants = {slot: Tenant(name, self._numbers[name])
                             for name, slot in self._of.items()}
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
        return self._left.get(slot) or self._by_slot.get(slot, "")

    def given(
        self, names: Iterable[str], leaving: Collection[int], others: Mapping[str, int],
    ) -> dict[str, int]:
        """What these services are to have, of which some may be new: each the slot that it has, or
        had and hasn't left yet.  `leaving` are the slots that are being left; `others` come, too,
        and have theirs.  Raises NoSlotError."""
        # Mostly few, so that one more service costs nothing for each that is there.
        go_on = frozenset(leaving)
        besides = {*go_on, *others.values()}
        left = {name: slot for slot, name in self._left.items() if slot in go_on}
        known = ChainMap(self._of, left)
        free = (slot for slot in itertools.count(self._lowest)
                if slot not in besides and slot not in self._by_slot)
        given = {name: known[name] if name in known else next(free) for name in names}
        there = len(self._of) + len(others)
        alone = sum(slot not in self._by_slot for slot in besides) - len(others)
        new = sum(name not in known for name in given)
        if there + alone + new > self.limit:
            raise NoSlotError(
                f"limits.services is {self.limit}: there are {there} services, and {alone} whose"
                f" connections go on, and {new} would come; what leaves has its place until its"
                " connections have ended: delete first, or raise the limit"
            )
        return given

    def take(self, came: Mapping[str, int], gone: Collection[str]) -> None:
        """They are published."""
        if came or gone:
            self._names = self._tenants = self._order = None
        for name in gone:
            slot = self._of.pop(name)
            del self._by_slot[slot], self._numbers[name]
            self._left[slot] = name
            self._lowest = min(self._lowest, slot)
        for name, slot in came.items():
            self._of[name], self._by_slot[slot] = slot, name
            self._numbers[name] = next(self._came)
        while self._lowest in self._by_slot:
            self._lowest += 1

    def forget_all_but(self, leaving: Collection[int]) -> None:
        """What is being left; who has left the other slots is done."""
        kept = frozenset(leaving)
        self._left = {slot: name for slot, name in self._left.items() if slot in kept}
