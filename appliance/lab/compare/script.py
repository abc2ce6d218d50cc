"""A script: what two ends say, in order.  Playing many at once, step by step.

In each round every script whose time has come says its next segment, and then all listen until it
is quiet: so hundreds of scripts take the time of one, and an answer belongs to the segment that
was said before it.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from appliance.lab.compare.flow import Flow, Heard, Say
from appliance.lab.compare.raw import RawHosts


@dataclass(frozen=True)
class Script:
    name: str
    family: int
    says: tuple[Say, ...]

    @property
    def handshakes(self) -> int:
        """How many cookies a client gets at most where the same SYN is always given the same."""
        return len({replace(say, after_s=0) for say in self.says
                    if say.side == "client" and "S" in say.flags})


@dataclass
class Performance:
    """What came of one script through one contestant."""

    heard: list[Heard] = field(default_factory=list)
    straddled: bool = False         # the cookie's epoch changed between two of its SYNs


@dataclass
class _Part:
    script: Script
    flow: Flow
    due: float = 0.0
    at: int = 0


def play(raw: RawHosts, scripts: Sequence[Script]) -> dict[str, Performance]:
    """Performances by the scripts' names."""
    pending = [_Part(script, raw.open(script.family)) for script in scripts]
    played = {}
    while pending:
        now = time.monotonic()
        ready = [part for part in pending if part.due <= now]
        for part in ready:
            raw.say(part.flow, part.script.says[part.at])
            part.at += 1
        if ready:
            raw.settle()
        else:
            raw.settle(quiet_s=min(part.due for part in pending) - now)
        for part in ready:
            if part.at < len(part.script.says):
                part.due = time.monotonic() + part.script.says[part.at].after_s
                continue
            raw.forget(part.flow)
            pending.remove(part)
            played[part.script.name] = Performance(
                part.flow.heard, len(part.flow.cookies) > part.script.handshakes)
    return played
