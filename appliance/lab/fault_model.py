"""The fault model: frames in with a time, frames out with times.  No socket, no clock.

Each flow and direction has a stream of random numbers of its own, seeded from the harm's seed,
the direction and the flow's addresses and ports, and each segment takes the same count of them.
So the fate of a flow's nth segment depends on nothing but seed and n: neither on other flows,
nor on scheduling, nor on which other faults are switched on.
"""

import heapq
import random
from collections import Counter
from dataclasses import dataclass, field

from appliance.lab.faults import Action, Faults, Harm, Rule, Way
from appliance.lab.wire_segment import Segment, segment_of

NS_PER_MS = 1_000_000
NS_PER_US = 1_000               # 1 Mbit/s is a bit each microsecond
# What chance may do, in the order in which it is drawn.
DRAWN = (Action.LOSE, Action.DUPLICATE, Action.REORDER, Action.CORRUPT)
OVERTAKERS_MAX = 3              # a reordered frame lets one to three others pass
QUEUE_NS = 300 * NS_PER_MS      # what waits for a wire with a rate; more is turned away
HOLD_NS = 5 * NS_PER_MS         # or waits so long for them: well below any retransmission timer


@dataclass(slots=True, order=True)
class _Transit:
    """A frame on the wire."""

    due_ns: int
    serial: int                                 # keeps the order of those due at once
    way: Way = field(compare=False)
    frame: bytes | None = field(compare=False)  # None once it has left
    to_pass: int = field(default=0, compare=False)      # frames that may overtake it ...
    passed: int = field(default=0, compare=False)       # ... and that have


@dataclass(slots=True)
class _Flow:
    """One direction of a connection, or all in that direction that is no TCP."""

    way: Way
    stream: random.Random
    rules: list[tuple[int, Rule]]               # those that may hit here, with their number
    seen: dict[int, int]                        # by rule: segments that it has named
    held: list[_Transit] = field(default_factory=list)      # waiting to be overtaken
    last_due_ns: int = 0                        # what jitter must not undercut


@dataclass(slots=True)
class _Fate:
    """What is to become of a frame."""

    actions: set[Action]
    jitter: float               # 0..1 of the direction's jitter
    place: float                # 0..1: where to corrupt, how many may overtake
    late_ms: float = 0          # with DELAY


class FaultModel:
    """One wire's faults and the frames under way on it.

    `counts`, by direction, run on from one harm to the next; `rule_hits` are the harm's own.
    A reordered frame is `held`, and is counted as `reordered` once another has overtaken it.  A
    segment that finds the queue before a wire with a rate full is `crowded` out.
    """

    def __init__(self, harm: Harm) -> None:
        self.counts: dict[Way, Counter[str]] = {way: Counter() for way in Way}
        self._queue: list[_Transit] = []
        self._serial = 0
        self._free_ns = dict.fromkeys(Way, 0)   # when a wire with a rate has carried all so far
        self.obey(harm)

    def obey(self, harm: Harm) -> None:
        """From here on it is this harm; every flow begins anew.  What is under way goes on."""
        self._harm = harm
        self.rule_hits = [0] * len(harm.rules)
        self._flows: dict[Way, dict[bytes, _Flow]] = {way: {} for way in Way}

    def take(self, way: Way, frame: bytes, now_ns: int) -> None:
        """A frame enters the wire."""
        self.counts[way]["arrived"] += 1
        segment = segment_of(frame)
        faults = self._harm.faults(way)
        if faults.rate_mbit_s:
            if segment and self._free_ns[way] > now_ns + QUEUE_NS:
                self.counts[way]["crowded"] += 1
                return
            now_ns = max(now_ns, self._free_ns[way]) + int(
                len(frame) * 8 * NS_PER_US / faults.rate_mbit_s)
            self._free_ns[way] = now_ns
        due_ns = now_ns + int(faults.delay_ms * NS_PER_MS)
        if segment is None and not self._harm.everything:
            self._enqueue(way, frame, due_ns)
            return
        flow = self._flow(way, segment)
        fate = self._fate(flow, segment, faults)
        if Action.CORRUPT in fate.actions and Action.LOSE not in fate.actions:
            self.counts[way]["corrupted"] += 1
            frame = corrupted(frame, segment, fate.place)
        flow.last_due_ns = max(due_ns + int(fate.jitter * faults.jitter_ms * NS_PER_MS),
                               flow.last_due_ns)
        self._carry(flow, frame, fate)

    def due(self, now_ns: int) -> list[tuple[Way, bytes]]:
        """The frames that leave the wire now, in order."""
        leaving = []
        while self._queue and self._queue[0].due_ns <= now_ns:
            transit = heapq.heappop(self._queue)
            if transit.frame is not None:
                leaving.append((transit.way, transit.frame))
                transit.frame = None
        return leaving

    def next_due_ns(self) -> int | None:
        """When `due` may have something again; None while the wire is empty."""
        return self._queue[0].due_ns if self._queue else None

    def _flow(self, way: Way, segment: Segment | None) -> _Flow:
        name = segment.flow if segment else b""
        flow = self._flows[way].get(name)
        if flow is None:
            rules = [(number, rule) for number, rule in enumerate(self._harm.rules)
                     if segment and rule.is_for_flow(way, segment)]
            stream = random.Random(f"{self._harm.seed} {way} {name.hex()}")
            flow = _Flow(way, stream, rules, {number: 0 for number, _ in rules})
            self._flows[way][name] = flow
        return flow

    def _fate(self, flow: _Flow, segment: Segment | None, faults: Faults) -> _Fate:
        """A rule whose turn it is goes before chance, which is drawn all the same."""
        draw = flow.stream.random
        chances = (faults.loss, faults.duplication, faults.reordering, faults.corruption)
        actions = {action for action, chance in zip(DRAWN, chances, strict=True)
                   if draw() < chance}
        fate = _Fate(actions, draw(), draw())
        rule = self._hitting(flow, segment) if segment and flow.rules else None
        if rule:
            fate.actions = {rule.action}
            fate.late_ms = rule.delay_ms
        return fate

    def _hitting(self, flow: _Flow, segment: Segment) -> Rule | None:
        """The first rule whose turn it is.  Every rule counts what it names."""
        hitting = None
        for number, rule in flow.rules:
            if not rule.names(segment):
                continue
            flow.seen[number] += 1
            in_turn = 0 <= flow.seen[number] - rule.nth < rule.run
            spent = rule.times is not None and self.rule_hits[number] >= rule.times
            if in_turn and not spent and hitting is None:
                self.rule_hits[number] += 1
                hitting = rule
        return hitting

    def _carry(self, flow: _Flow, frame: bytes, fate: _Fate) -> None:
        counts, due_ns = self.counts[flow.way], flow.last_due_ns
        if Action.LOSE in fate.actions:
            counts["lost"] += 1
            return
        if Action.DUPLICATE in fate.actions:
            counts["duplicated"] += 1
            self._pass(flow, frame, due_ns)
        if Action.REORDER in fate.actions:
            counts["held"] += 1
            transit = self._enqueue(flow.way, frame, due_ns + HOLD_NS)
            transit.to_pass = 1 + int(fate.place * OVERTAKERS_MAX)
            flow.held.append(transit)
        elif Action.DELAY in fate.actions:
            counts["delayed"] += 1
            self._enqueue(flow.way, frame, due_ns + int(fate.late_ms * NS_PER_MS))
        else:
            self._pass(flow, frame, due_ns)

    def _pass(self, flow: _Flow, frame: bytes, due_ns: int) -> None:
        """A frame that goes its way, and behind it those that wait for no further one."""
        self._enqueue(flow.way, frame, due_ns)
        waiting = []
        for transit in flow.held:
            if transit.frame is None:           # its hold had ended
                continue
            transit.passed += 1
            if transit.passed == 1:
                self.counts[flow.way]["reordered"] += 1
            if transit.passed < transit.to_pass:
                waiting.append(transit)
            else:
                self._enqueue(flow.way, transit.frame, due_ns)
                transit.frame = None
        flow.held = waiting

    def _enqueue(self, way: Way, frame: bytes, due_ns: int) -> _Transit:
        self._serial += 1
        transit = _Transit(due_ns, self._serial, way, frame)
        heapq.heappush(self._queue, transit)
        return transit


def corrupted(frame: bytes, segment: Segment | None, place: float) -> bytes:
    """The frame with one byte of its TCP header or payload changed, checksums as they were.

    One byte changes a 16-bit word by less than 65535, so the one's complement sum (RFC 1071)
    is another: each receiver can notice.  `place` (0..1) chooses the byte and its new value.
    """
    start, end = (segment.tcp, segment.end) if segment else (0, len(frame))
    at, rest = divmod(place * (end - start), 1)
    harmed = bytearray(frame)
    harmed[start + int(at)] ^= 1 + int(rest * 255)
    return bytes(harmed)
