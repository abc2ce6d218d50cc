"""Trials of the proxy on a bad wire: streams that must arrive whole, handshakes that must be done.

The same trial serves a test in short and a program in full (tests/bench/faults.py).
"""

import time
from collections import Counter
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from appliance.lab.dialogues import Conversation, Outcome, converse
from appliance.lab.faults import Faults, Harm
from appliance.lab.peers import Peer, start_peers
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6, Lab

FLOWS = 20
STREAM_BYTES = 1 << 20
HANDSHAKE_S = 30

# Every loss with each of the other faults alone, with none and with all of them.
LOSSES = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
OTHERS = (
    Faults(),
    Faults(duplication=0.1),
    Faults(reordering=0.25),
    Faults(corruption=0.01),
    Faults(duplication=0.1, reordering=0.25, corruption=0.01),
)
COMBINATIONS = [replace(others, loss=loss) for loss, others in product(LOSSES, OTHERS)]

# A stream at 20 % loss lives on retransmission timers: with Linux's 200 ms and 120 s it would take
# minutes of waiting.  And no connection is given up for its losses: each of ten SYNs may be one;
# and one that its program has closed with bytes still to send, as the echoing peers do, would end
# once its timer is at the longest (tcp_orphan_retries, as tcp_write_timeout has it).
# A socket takes its timers when it is made, or from its listener: so this comes before the peers.
PATIENT_SYSCTLS = {
    "net/ipv4/tcp_rto_min_us": "20000",
    "net/ipv4/tcp_rto_max_ms": "1000",
    "net/ipv4/tcp_syn_retries": "10",
    "net/ipv4/tcp_syn_linear_timeouts": "10",
    "net/ipv4/tcp_retries2": "100",
    "net/ipv4/tcp_orphan_retries": "100",
}


@dataclass(frozen=True)
class Trial:
    """What became of the conversations, and what the wire did meanwhile, both ways together."""

    outcomes: list[Outcome]
    carried: Counter[str]
    seconds: float

    @property
    def failures(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.failure]

    def share_within(self, seconds: float) -> float:
        """Of those whose server was heard within so many seconds of the SYN."""
        heard = [outcome for outcome in self.outcomes
                 if outcome.first_byte_s is not None and outcome.first_byte_s <= seconds]
        return len(heard) / len(self.outcomes)


def start_patient_peers(lab: Lab) -> Path:
    """The peers, and a client, that stream trials want; returns the peers' journal."""
    lab.client.configure(PATIENT_SYSCTLS)
    lab.server.configure(PATIENT_SYSCTLS)
    return start_peers(lab)


def stream_trial(lab: Lab, side: str, faults: Faults, *, first_port: int, flows: int = FLOWS,
                 stream_bytes: int = STREAM_BYTES, timeout_s: float = 240) -> Trial:
    """`flows` streams both ways at once, between patient hosts."""
    said = _conversations(flows, first_port, turns=1, stream_bytes=stream_bytes)
    return _trial(lab, side, faults, said, flows, timeout_s)


def handshake_trial(lab: Lab, side: str, faults: Faults, *, first_port: int, count: int,
                    at_once: int = 250) -> Trial:
    """Short conversations, one word each."""
    said = _conversations(count, first_port, turns=1)
    return _trial(lab, side, faults, said, at_once, timeout_s=2 * HANDSHAKE_S)


def _conversations(count: int, first_port: int, *, turns: int,
                   stream_bytes: int = 0) -> list[Conversation]:
    """Half over each family.  The client speaks first: see test_single_loss.is_silent_end."""
    return [Conversation((SERVER_IPV4, SERVER_IPV6)[number % 2], Peer.ECHOES,
                         first_port + number, turns, stream_bytes) for number in range(count)]


def _trial(lab: Lab, side: str, faults: Faults, said: list[Conversation], at_once: int,
           timeout_s: float) -> Trial:
    wire = lab.wires[side]
    wire.obey(Harm(seed=said[0].source_port, to_server=faults, to_client=faults))
    before, started = wire.carried().both_ways, time.monotonic()
    outcomes = converse(lab, said, timeout_s=timeout_s, at_once=at_once)
    carried, seconds = wire.carried().both_ways - before, time.monotonic() - started
    wire.obey(Harm())
    return Trial(outcomes, carried, seconds)
