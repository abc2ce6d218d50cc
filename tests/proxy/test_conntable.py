"""The connection table against a dict, and its bounds.

design/architecture "State": one contiguous block, 64-byte entries for both families.
"""

import random

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from cython_core import _testing_parts

from .harness import mapped

BYTES_PER_ENTRY = 96        # index and all


def flow(n: int):
    """IPv4 and IPv6 in turn."""
    if n % 2:
        return mapped(f"10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}"), 1024, mapped("10.0.0.2"), 80
    return mapped("2001:db8::7"), n >> 8, mapped("fd00::2"), n & 0xFF


class TableBesideADict(RuleBasedStateMachine):
    flows = st.integers(0, 60).map(flow)

    @initialize(capacity=st.integers(1, 40))
    def make(self, capacity):
        self.capacity = capacity
        self.table = _testing_parts.Table(capacity)
        self.model = set()

    @rule(flow=flows)
    def insert_or_remove(self, flow):
        if flow in self.model:
            self.table.remove(flow)
            self.model.remove(flow)
        elif self.table.insert(flow):
            self.model.add(flow)
        else:
            assert len(self.model) == self.capacity

    @rule(flow=flows)
    def find(self, flow):
        assert self.table.find(flow) == (flow in self.model)

    @invariant()
    def used(self):
        if hasattr(self, "table"):
            assert self.table.used == len(self.model) <= self.capacity


test_a_table_behaves_as_a_bounded_set = TableBesideADict.TestCase
test_a_table_behaves_as_a_bounded_set.settings = settings(
    max_examples=60, stateful_step_count=80)


@pytest.mark.parametrize("capacity", [
    1, 2, 3, 6, 7, 48, 64, 96, 100, 1000, 1024, 1536, 3072, 4096, 12288, 49152, 50000,
])
def test_a_table_takes_all_that_it_was_made_for_and_not_one_more(capacity):
    table = _testing_parts.Table(capacity)
    assert all(table.insert(flow(n)) for n in range(capacity))
    assert table.used == capacity
    assert not table.insert(flow(capacity))
    assert all(table.find(flow(n)) for n in range(capacity))
    assert not any(table.find(flow(n)) for n in range(capacity, capacity + 100))


def test_a_table_of_two_buckets_has_a_place_for_flows_that_begin_in_one():
    table = _testing_parts.Table(9)
    for n in (19, 1, 5, 6, 7, 8, 24, 32, 48):
        assert table.insert(flow(n)), f"flow {n} is the {table.used + 1}th"


@pytest.mark.parametrize("capacity", [1000, 1024, 1536, 1537, 4096, 100_000, 1_000_000])
def test_an_entry_costs_at_most_96_bytes_with_its_index(capacity):
    assert _testing_parts.Table(capacity).bytes <= BYTES_PER_ENTRY * capacity


def test_a_table_lives_through_any_number_of_removals():
    rng = random.Random(2)
    table, inside, following = _testing_parts.Table(500), [], 0
    for _ in range(500):
        assert table.insert(flow(following))
        inside.append(following)
        following += 1
    for _ in range(20_000):
        at = rng.randrange(len(inside))
        table.remove(flow(inside[at]))
        assert table.insert(flow(following))
        inside[at] = following
        following += 1
    assert table.used == 500
    assert all(table.find(flow(n)) for n in inside)


@pytest.mark.parametrize("field", range(4))
def test_flows_that_differ_in_one_field_are_different(field):
    table = _testing_parts.Table(64)
    base = (mapped("192.0.2.1"), 1, mapped("192.0.2.2"), 2)
    assert table.insert(base)
    for bit in range(16 if field in (1, 3) else 128):
        other = list(base)
        if field in (1, 3):
            other[field] ^= 1 << bit
        else:
            other[field] = (int.from_bytes(base[field], "big") ^ 1 << bit).to_bytes(16, "big")
        assert not table.find(tuple(other))
    assert not table.find((base[2], base[3], base[0], base[1]))
