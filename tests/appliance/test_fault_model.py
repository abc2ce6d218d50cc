"""What the lab's wire does to frames: chances, their repetition, and rules."""

import struct
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from scapy.layers.l2 import ARP, Ether

from appliance.lab.fault_model import (
    HOLD_NS,
    NS_PER_MS,
    OVERTAKERS_MAX,
    QUEUE_NS,
    FaultModel,
    corrupted,
)
from appliance.lab.faults import Action, Faults, Harm, Rule, Way
from appliance.lab.wire_segment import ACK, SYN, TCP, Segment, segment_of
from tests.appliance.segment_frames import TAGS, numbered, to_client, to_server

WORST = Faults(loss=0.2, duplication=0.1, reordering=0.25, corruption=0.01)
MANY = 5000
LATE_NS = 10**12            # when everything has left
ARP_REQUEST = bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(pdst="10.71.0.2"))


def carry(model: FaultModel, frames: Iterable[bytes], way: Way = Way.TO_SERVER) -> list[bytes]:
    """All frames in at time 0; all that come out, however late."""
    for frame in frames:
        model.take(way, frame, 0)
    return [frame for _, frame in model.due(LATE_NS)]


def harmful(faults: Faults, seed: int = 1) -> FaultModel:
    return FaultModel(Harm(seed=seed, to_server=faults))


def ruled(*rules: Rule) -> FaultModel:
    return FaultModel(Harm(rules=rules))


def test_a_harmless_wire_changes_nothing() -> None:
    frames = [ARP_REQUEST, *numbered(10)]
    assert carry(FaultModel(Harm()), frames) == frames


def test_the_same_seed_does_the_same() -> None:
    frames = numbered(1000)
    assert carry(harmful(WORST), frames) == carry(harmful(WORST), frames)
    assert carry(harmful(WORST), frames) != carry(harmful(WORST, seed=2), frames)


def test_a_flows_fate_does_not_depend_on_its_neighbours() -> None:
    readable = replace(WORST, corruption=0)     # a changed port would hide whose it is
    ours, others = numbered(500), numbered(500, client_port=40001)
    mixed = [frame for pair in zip(ours, others, strict=True) for frame in pair]
    came = carry(harmful(readable), mixed)
    assert [frame for frame in came if flow_of(frame) == flow_of(ours[0])] \
        == carry(harmful(readable), ours)


def flow_of(frame: bytes) -> bytes:
    segment = segment_of(frame)
    assert segment
    return segment.flow


def test_another_fault_leaves_the_losses_as_they_were() -> None:
    frames = numbered(500)
    survivors = set(carry(harmful(Faults(loss=0.2)), frames))
    assert set(carry(harmful(Faults(loss=0.2, duplication=0.1, reordering=0.25)), frames)) \
        == survivors


def test_both_directions_have_fates_of_their_own() -> None:
    model = FaultModel(Harm(to_server=Faults(loss=1)))
    assert carry(model, [to_server()], Way.TO_SERVER) == []
    assert carry(model, [to_client()], Way.TO_CLIENT) == [to_client()]


@pytest.mark.parametrize(("faults", "count", "chance"), [
    (Faults(loss=0.2), "lost", 0.2),
    (Faults(duplication=0.1), "duplicated", 0.1),
    (Faults(reordering=0.25), "reordered", 0.25),
    (Faults(corruption=0.01), "corrupted", 0.01),
])
def test_chances_are_met(faults: Faults, count: str, chance: float) -> None:
    """Within five standard deviations of the binomial distribution."""
    model = harmful(faults)
    carry(model, numbered(MANY))
    deviation = (MANY * chance * (1 - chance)) ** 0.5
    assert abs(model.counts[Way.TO_SERVER][count] - MANY * chance) < 5 * deviation


def test_what_came_and_was_doubled_has_gone_or_is_lost() -> None:
    model = harmful(WORST)
    gone = len(carry(model, numbered(MANY)))
    counts = model.counts[Way.TO_SERVER]
    assert counts["arrived"] == MANY
    assert counts["arrived"] + counts["duplicated"] == counts["lost"] + gone


def test_a_reordered_segment_lets_one_to_three_others_pass() -> None:
    rule = Rule(Way.TO_SERVER, Action.REORDER, nth=3)
    overtakers = Counter(
        carry(FaultModel(Harm(seed=seed, rules=(rule,))), (frames := numbered(9))).index(frames[2])
        - 2 for seed in range(200))
    assert set(overtakers) == set(range(1, OVERTAKERS_MAX + 1))


def test_a_reordered_segment_does_not_wait_for_ever() -> None:
    model = ruled(Rule(Way.TO_SERVER, Action.REORDER))
    model.take(Way.TO_SERVER, to_server(), 0)
    assert model.due(HOLD_NS - 1) == []
    assert model.next_due_ns() == HOLD_NS
    assert model.due(HOLD_NS) == [(Way.TO_SERVER, to_server())]
    assert model.counts[Way.TO_SERVER]["reordered"] == 0, "nobody has overtaken it"


def test_a_delay_is_kept_exactly() -> None:
    model = harmful(Faults(delay_ms=20))
    for at_ms, frame in enumerate([ARP_REQUEST, *numbered(2)]):
        model.take(Way.TO_SERVER, frame, at_ms * NS_PER_MS)
    assert len(model.due(20 * NS_PER_MS - 1)) == 0
    assert len(model.due(20 * NS_PER_MS)) == 1
    assert model.next_due_ns() == 21 * NS_PER_MS
    assert len(model.due(22 * NS_PER_MS)) == 2
    assert model.next_due_ns() is None


def test_a_wire_with_a_rate_carries_one_frame_at_a_time() -> None:
    """8 Mbit/s are a byte each microsecond."""
    model = harmful(Faults(rate_mbit_s=8, delay_ms=1))
    frames = [ARP_REQUEST, *numbered(2)]
    for frame in frames:
        model.take(Way.TO_SERVER, frame, 0)
    due_ns = NS_PER_MS
    for frame in frames:
        due_ns += len(frame) * 1000
        assert model.next_due_ns() == due_ns
        assert model.due(due_ns) == [(Way.TO_SERVER, frame)]


def test_the_queue_before_a_wire_with_a_rate_is_bounded() -> None:
    model = harmful(Faults(rate_mbit_s=2))
    frames = numbered(3000)
    left = carry(model, frames)
    assert left == frames[:len(left)], "who comes last is turned away"
    carried_ns, frame_ns = sum(map(len, left)) * 4000, len(frames[0]) * 4000
    assert QUEUE_NS < carried_ns <= QUEUE_NS + frame_ns
    counts = model.counts[Way.TO_SERVER]
    assert counts["arrived"] == len(left) + counts["crowded"] == len(frames)


def test_jitter_spreads_segments_and_keeps_their_order() -> None:
    model = harmful(Faults(delay_ms=10, jitter_ms=10))
    frames = numbered(50)
    for number, frame in enumerate(frames):
        model.take(Way.TO_SERVER, frame, number * NS_PER_MS)
    left: list[bytes] = []
    at_once = []
    while (due_ns := model.next_due_ns()) is not None:
        leaving = [frame for _, frame in model.due(due_ns)]
        at_once.append(due_ns - frames.index(leaving[0]) * NS_PER_MS)
        left += leaving
    assert left == frames
    assert all(10 * NS_PER_MS <= delay <= 20 * NS_PER_MS for delay in at_once)
    assert max(at_once) - min(at_once) > 5 * NS_PER_MS


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tags", list(TAGS))
def test_each_corruption_breaks_the_checksum(version: int, tags: str) -> None:
    whole = to_server(b"x" * 100, version=version, tags=tags)
    segment = segment_of(whole)
    assert segment
    at = set()
    for step in range(2000):
        harmed = corrupted(whole, segment, step / 2000)
        changed = [place for place in range(len(whole)) if whole[place] != harmed[place]]
        at.update(changed)
        assert len(changed) == 1
        assert not has_right_checksum(harmed, segment)
    assert at == set(range(segment.tcp, segment.end))
    assert has_right_checksum(whole, segment)


def has_right_checksum(frame: bytes, segment: Segment) -> bool:
    """The one's complement sum over pseudo-header and segment (RFC 9293 §3.1)."""
    tcp = frame[segment.tcp:segment.end]
    covered = segment.flow[:-4] + bytes([0, TCP]) + len(tcp).to_bytes(2) + tcp
    words: tuple[int, ...] = struct.unpack(f"!{len(covered) // 2}H", covered)
    return sum(words) % 0xFFFF == 0


def test_only_tcp_is_harmed_unless_asked() -> None:
    lossy = Faults(loss=1)
    frames = [ARP_REQUEST, to_server()]
    assert carry(harmful(lossy), frames) == [ARP_REQUEST]
    assert carry(FaultModel(Harm(to_server=lossy, everything=True)), frames) == []


@pytest.mark.parametrize(("rule", "lost"), [
    (Rule(Way.TO_SERVER, nth=3), [2]),
    (Rule(Way.TO_SERVER, nth=3, run=2), [2, 3]),
    (Rule(Way.TO_SERVER, flags="S"), [0]),
    (Rule(Way.TO_SERVER, flags="A"), [1]),
    (Rule(Way.TO_SERVER, flags="FA"), [4]),
    (Rule(Way.TO_SERVER, flags="SA"), []),
    (Rule(Way.TO_SERVER, payload_bytes_min=5), [3]),
    (Rule(Way.TO_SERVER, version=4, client_port=40000, server_port=80), [0]),
    (Rule(Way.TO_SERVER, version=6), []),
    (Rule(Way.TO_SERVER, client_port=40001), []),
    (Rule(Way.TO_SERVER, server_port=81), []),
    (Rule(Way.TO_CLIENT), []),
    (Rule(Way.TO_SERVER, times=0), []),
])
def test_a_rule_hits_what_it_names(rule: Rule, lost: list[int]) -> None:
    frames = [to_server(flags="S"), to_server(), to_server(b"word", flags="PA"),
              to_server(b"longer", flags="PA"), to_server(flags="FA")]
    model = ruled(rule)
    assert carry(model, frames) == [
        frame for number, frame in enumerate(frames) if number not in lost]
    assert model.rule_hits == [len(lost)]


def test_a_rule_counts_in_each_flow_anew_until_it_is_spent() -> None:
    model = ruled(Rule(Way.TO_SERVER, nth=2, times=2))
    for client_port in (40001, 40002, 40003):
        carry(model, numbered(3, client_port))
    assert model.rule_hits == [2]
    assert model.counts[Way.TO_SERVER]["lost"] == 2


def test_a_rule_goes_before_chance() -> None:
    rules = (Rule(Way.TO_SERVER, Action.DUPLICATE),)
    model = FaultModel(Harm(to_server=Faults(loss=1), rules=rules))
    assert carry(model, [to_server()]) == [to_server()] * 2


def test_a_delayed_segment_is_overtaken() -> None:
    first, second = numbered(2)
    model = ruled(Rule(Way.TO_SERVER, Action.DELAY, delay_ms=30))
    model.take(Way.TO_SERVER, first, 0)
    model.take(Way.TO_SERVER, second, 0)
    assert model.due(0) == [(Way.TO_SERVER, second)]
    assert model.next_due_ns() == 30 * NS_PER_MS


def test_new_harm_begins_anew_and_forgets_no_frame() -> None:
    model = FaultModel(Harm(to_server=Faults(delay_ms=5), rules=(Rule(Way.TO_SERVER, nth=2),)))
    model.take(Way.TO_SERVER, to_server(b"under way"), 0)
    model.obey(Harm(rules=(Rule(Way.TO_SERVER, nth=2),)))
    assert carry(model, [to_server(b"first")]) == [to_server(b"first"), to_server(b"under way")]
    assert model.counts[Way.TO_SERVER]["arrived"] == 2
    assert model.rule_hits == [0]


def test_harm_travels_as_json() -> None:
    harm = Harm(seed=7, to_server=WORST, everything=True, rules=(
        Rule(Way.TO_CLIENT, Action.DELAY, nth=4, flags="SA", delay_ms=2.5), Rule(Way.TO_SERVER)))
    assert Harm.from_json(harm.to_json()) == harm
    assert Harm.from_json({}) == Harm()


@pytest.mark.parametrize("said", [
    {"sed": 1}, {"to_server": {"los": 1}}, {"rules": [{"way": "up"}]}, {"rules": [{}]},
    {"rules": [{"way": "to_server", "action": "forget"}]},
    {"rules": [{"way": "to_server", "flags": "X"}]}, {"to_client": {"loss": 20}},
])
def test_wrong_orders_are_refused(said: dict[str, object]) -> None:
    with pytest.raises((TypeError, ValueError)):
        Harm.from_json(said)


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("tags", list(TAGS))
def test_segments_are_recognised(version: int, tags: str) -> None:
    segment = segment_of(to_server(b"12345", flags="SA", version=version, tags=tags))
    assert segment
    assert (segment.version, segment.sport, segment.dport) == (version, 40000, 80)
    assert (segment.flags, segment.payload_bytes) == (SYN | ACK, 5)


def test_a_cut_segment_is_none() -> None:
    whole = to_server()
    assert segment_of(whole + b"padding")
    assert [segment_of(whole[:length]) for length in range(len(whole))] == [None] * len(whole)
