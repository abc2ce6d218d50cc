"""What a wire is to do to the frames it carries: chances by direction, and rules for single ones.

`Harm` is the whole order.  It travels to the relay as JSON and back into the same objects, so
both sides name the same things.
"""

import dataclasses
import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from appliance.lab.wire_segment import NAMED_FLAGS, Segment, flag_bits


class Way(enum.StrEnum):
    """A direction of the wire."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"


class Action(enum.StrEnum):
    """What becomes of one frame."""

    LOSE = "lose"
    DUPLICATE = "duplicate"
    REORDER = "reorder"         # the next ones of its flow overtake it
    CORRUPT = "corrupt"
    DELAY = "delay"             # by the rule's `delay_ms`; later ones overtake it


@dataclass(frozen=True)
class Faults:
    """One direction's chances (0..1 a segment), times and rate.

    The delay is the wire's length and holds for every frame.  The jitter is drawn for each
    segment from 0 to its value and keeps the order in the flow: only `reordering` changes that.
    A wire with a rate carries one frame at a time, whatever it is; how long a segment waits for it
    is bounded (fault_model.QUEUE_NS).
    """

    loss: float = 0
    duplication: float = 0
    reordering: float = 0
    corruption: float = 0
    delay_ms: float = 0
    jitter_ms: float = 0
    rate_mbit_s: float = 0      # 0: no bound

    def __post_init__(self) -> None:
        chances = (self.loss, self.duplication, self.reordering, self.corruption)
        if not all(0 <= chance <= 1 for chance in chances):
            raise ValueError(f"a chance lies between 0 and 1: {self}")

    def __str__(self) -> str:
        """What it does, as "loss 20 %, reordering 25 %"."""
        said = []
        for name, value in _differing(self).items():
            if name == "rate_mbit_s":
                said.append(f"{value:g} Mbit/s")
            elif name.endswith("_ms"):
                said.append(f"{name.removesuffix('_ms')} {value:g} ms")
            else:
                said.append(f"{name} {value * 100:g} %")
        return ", ".join(said) or "no fault"


@dataclass(frozen=True)
class Rule:
    """One thing done to chosen segments; what is None or 0 chooses nothing.

    Of the segments in a flow that it names, it hits the `nth` (from 1) and the `run` - 1 after
    it.  `times` bounds its hits over all flows: then it depends on which flow comes first.
    """

    way: Way
    action: Action = Action.LOSE
    nth: int = 1
    run: int = 1
    times: int | None = None
    version: int | None = None          # of IP: 4 or 6
    client_port: int | None = None
    server_port: int | None = None
    flags: str | None = None            # exactly these of SYN, FIN, RST, ACK: "S", "SA", "FA"
    payload_bytes_min: int = 0
    delay_ms: float = 0

    def __post_init__(self) -> None:
        if self.flags is not None:
            flag_bits(self.flags)

    def is_for_flow(self, way: Way, segment: Segment) -> bool:
        """Whether the segment's flow, in this direction, can hold what the rule names."""
        ports = (segment.sport, segment.dport)
        client, server = ports if way is Way.TO_SERVER else reversed(ports)
        return (self.way is way
                and self.version in (None, segment.version)
                and self.client_port in (None, client)
                and self.server_port in (None, server))

    def names(self, segment: Segment) -> bool:
        """Whether it names this segment, of a flow that it is for."""
        if segment.payload_bytes < self.payload_bytes_min:
            return False
        return self.flags is None or segment.flags & NAMED_FLAGS == flag_bits(self.flags)


@dataclass(frozen=True)
class Harm:
    """All that a wire does.  The same seed does the same to the same flow, whatever else passes.

    Only TCP is harmed unless `everything`: ARP and neighbour discovery have timers of their own.
    """

    seed: int = 0
    to_server: Faults = Faults()
    to_client: Faults = Faults()
    rules: tuple[Rule, ...] = ()
    everything: bool = False

    def faults(self, way: Way) -> Faults:
        return self.to_server if way is Way.TO_SERVER else self.to_client

    def to_json(self) -> dict[str, Any]:
        """What differs from the defaults."""
        return {**_differing(self), "to_server": _differing(self.to_server),
                "to_client": _differing(self.to_client),
                "rules": [_differing(rule) for rule in self.rules]}

    @staticmethod
    def from_json(said: Mapping[str, Any]) -> "Harm":
        """TypeError or ValueError where it says something that there is not."""
        rules = said.get("rules", ())
        return Harm(**{
            **said,
            "to_server": Faults(**said.get("to_server", {})),
            "to_client": Faults(**said.get("to_client", {})),
            "rules": tuple(_rule(**rule) for rule in rules),
        })


def _rule(way: str, action: str = Action.LOSE, **rest: Any) -> Rule:
    return Rule(way=Way(way), action=Action(action), **rest)


def _differing(given: Any) -> dict[str, Any]:
    return {field.name: value for field in dataclasses.fields(given)
            if (value := getattr(given, field.name)) != field.default}
