"""One end of a connection, as plain as RFC 9293 lets it be, and as strict.

Nothing here happens by itself: whoever drives it says when it writes, speaks, says again, ends.
Positions are whole numbers that never wrap: 0 is the SYN, 1 the first byte, and a FIN has one, too.

What must not happen to an end raises Refused: a segment that acknowledges what was never sent,
brings bytes that the other end has not written there, or more of them than were allowed, echoes a
timestamp that this end has never sent, has options that were not agreed on.
"""

from collections.abc import Callable
from typing import NamedTuple

from .frames import ACK, FIN, PSH, RST, SYN, Said, Way

WORDS = 2**32
HALF = 2**31
PERIOD = 65_521                     # bytes after which a stream repeats
SEGMENT_BYTES_MAX = 1460
MSS_DEFAULT = 536                   # RFC 9293 §3.7.1
TIMESTAMPS_BYTES = 12               # with their two NOPs
SACK_HEAD_BYTES, SACK_BLOCK_BYTES = 4, 8
KEPT_TSVALS = 4096
CHALLENGE_MS = 500

OPENING, ANSWERING, OPEN, CLOSED = "opening", "answering", "open", "closed"


class Refused(AssertionError):
    """An end was told what it can't take."""


class Abilities(NamedTuple):
    """What a host offers; `window` in bytes."""

    mss: int = SEGMENT_BYTES_MAX
    wscale: int | None = 7
    sack: bool = True
    timestamps: bool = True
    window: int = 60_000


def _block() -> bytes:
    state, octets = 1, bytearray()
    for _ in range(PERIOD):
        state = state * 48_271 % 0x7FFFFFFF     # Park's and Miller's generator
        octets.append(state >> 7 & 0xFF)
    return bytes(octets + octets[:SEGMENT_BYTES_MAX])


BLOCK = _block()


def stream(seed: int, first: int, length: int) -> bytes:
    """What the end with this seed writes from position `first` on."""
    at = (first + seed * 7919) % PERIOD
    return BLOCK[at:at + length]


def near(position: int, wire: int, number: int) -> int:
    """The position of `number` on the wire, where `position` has the number `wire` there."""
    return position + (number - wire + HALF) % WORDS - HALF


def require(condition: bool, what: str, said: Said) -> None:
    if not condition:
        raise Refused(f"{what}: {said}")


class Endpoint:
    def __init__(self, there: Way, isn: int, seed: int, abilities: Abilities,
                 now_ms: Callable[[], int]):
        self.there, self.isn, self.seed, self.abilities = there, isn, seed, abilities
        self.now_ms, self.tsval_base = now_ms, isn * 3
        self.state = OPENING
        self.una, self.nxt, self.far, self.written = 0, 1, 1, 1
        self.fin_at: int | None = None
        self.right = 1                          # what the other end lets come lies before it
        self.irs, self.got, self.told = 0, 0, 1
        self.later: list[tuple[int, int]] = []  # what has come before its time
        self.other_fin_at: int | None = None
        self.other_seed = 0
        self.sack = self.timestamps = self.scaled = False
        self.challenged_ms = 0
        self.lenient = False                    # in what RFC 7323 §3.2 says of missing timestamps
        self.shift = self.other_shift = 0
        self.mss = MSS_DEFAULT
        self.tsvals: dict[int, None] = {}       # that were sent, oldest first
        self.recent = 0

    @property
    def done(self) -> bool:
        """Both ways are at their end, as far as this end knows."""
        return (self.fin_at is not None and self.una > self.fin_at
                and self.other_fin_at is not None and self.got > self.other_fin_at)

    @property
    def settled(self) -> bool:
        """All that is written has been acknowledged."""
        return self.una == self.written + (self.fin_at is not None)

    # What it says.

    def connect(self) -> Said:
        offer, window = self.abilities, min(self.abilities.window, 0xFFFF)
        self.told = max(self.told, 1 + window)
        return self._stamped(Said(
            SYN, seq=self.isn, window=window, mss=offer.mss, wscale=offer.wscale,
            sack_permitted=offer.sack), offer.timestamps)

    def write(self, length: int) -> None:
        if self.fin_at is None:
            self.written += length

    def finish(self) -> None:
        if self.fin_at is None:
            self.fin_at = self.written

    def speak(self) -> Said | None:
        """The next segment of what is written, if there is one that may go."""
        if self.state != OPEN:
            return None
        length = min(self.written, self.right, self.nxt + self._room()) - self.nxt
        said = self._piece(self.nxt, max(length, 0))
        if not said.payload and not said.flags & FIN:
            return None
        self.nxt += len(said.payload) + bool(said.flags & FIN)
        self.far = max(self.far, self.nxt)
        return said

    def say_again(self) -> Said | None:
        """What waits longest for its acknowledgement, else a probe (RFC 9293 §3.8.4, §3.8.6.1)."""
        if self.state == OPENING:
            return self.connect()
        if self.state == ANSWERING:
            return self._synack()
        if self.state == CLOSED:
            return None
        sent = min(self.far, self.written, self.una + self._room()) - self.una
        if self.una < self.far:
            return self._piece(self.una, max(sent, 0))
        return self._segment(ACK, self.nxt - 1)

    def acknowledge(self) -> Said:
        return self._segment(ACK, self.nxt)

    def abort(self) -> Said:
        self.state = CLOSED
        return self._segment(RST | ACK, self.nxt)

    def _room(self) -> int:
        """What a segment has for payload beside its options: RFC 6691 §2."""
        blocks = self._blocks()
        return self.mss - (TIMESTAMPS_BYTES if self.timestamps else 0) - (
            SACK_HEAD_BYTES + SACK_BLOCK_BYTES * len(blocks) if blocks else 0)

    def _blocks(self) -> list[tuple[int, int]]:
        return self.later[-(3 if self.timestamps else 4):] if self.sack else []

    def _piece(self, first: int, length: int) -> Said:
        flags = ACK | PSH if length else ACK
        if self.fin_at == first + length and (first + length < self.far or self.nxt == first):
            flags |= FIN
        return self._segment(flags, first, stream(self.seed, first, length))

    def _segment(self, flags: int, position: int, payload: bytes = b"") -> Said:
        window = min(self.abilities.window >> self.shift, 0xFFFF)
        self.told = max(self.told, self.got + (window << self.shift))
        return self._stamped(Said(
            flags, (self.isn + position) % WORDS, (self.irs + self.got) % WORDS, window, payload,
            sack=tuple(((self.irs + first) % WORDS, (self.irs + end) % WORDS)
                       for first, end in self._blocks())), self.timestamps)

    def _synack(self) -> Said:
        offer = self.abilities
        window = min(offer.window, 0xFFFF)
        self.told = max(self.told, 1 + window)
        return self._stamped(Said(
            SYN | ACK, self.isn, (self.irs + 1) % WORDS, window, mss=offer.mss,
            wscale=offer.wscale if self.scaled else None, sack_permitted=self.sack),
            self.timestamps)

    def _stamped(self, said: Said, timestamps: bool) -> Said:
        if not timestamps:
            return said
        tsval = (self.tsval_base + self.now_ms()) % WORDS
        self.tsvals[tsval] = None
        if len(self.tsvals) > KEPT_TSVALS:
            del self.tsvals[next(iter(self.tsvals))]
        return said._replace(tsval=tsval, tsecr=self.recent if said.flags & ACK else 0)

    # What it is told.

    @classmethod
    def accept(cls, syn: Said, there: Way, isn: int, seed: int, abilities: Abilities,
               now_ms: Callable[[], int]) -> tuple["Endpoint", Said]:
        """A server's end, and its SYN-ACK."""
        require(syn.ack == 0 and not syn.tsecr, "a SYN acknowledges nothing", syn)
        self = cls(there, isn, seed, abilities, now_ms)
        self.state = ANSWERING
        self._agree(syn)
        return self, self._synack()

    def receive(self, said: Said, strange: bool = False) -> list[Said]:
        """What it answers.  `strange`: of another connection of these ports; it gets what RFC 9293
        §3.10.7 has for it, and is held against nothing."""
        if self.state == CLOSED:
            return reset_for(said)
        if self.state == OPENING:
            return self._opening(said, strange)
        if said.flags & RST:
            return self._reset(said)
        if said.flags & SYN:
            again = self.state == ANSWERING and said.seq == self.irs
            return [self._synack() if again else self.acknowledge()]
        if not said.flags & ACK:
            return []
        if strange:
            return reset_for(said) if self.state == ANSWERING else self._challenge()
        self._check_options(said)
        self._take_ack(said)
        return self._take_data(said)

    def _challenge(self) -> list[Said]:
        """Not at each: two ends that are strangers to each other would never stop (RFC 5961 §7)."""
        if self.now_ms() - self.challenged_ms < CHALLENGE_MS:
            return []
        self.challenged_ms = self.now_ms()
        return [self.acknowledge()]

    def _opening(self, said: Said, strange: bool) -> list[Said]:
        acceptable = said.flags & ACK and said.ack == (self.isn + 1) % WORDS
        if said.flags & RST:
            self.state = CLOSED if acceptable else OPENING
            return []
        if not acceptable:
            return reset_for(said)
        if not said.flags & SYN:
            return []
        offer = self.abilities
        require(said.wscale is None or offer.wscale is not None, "a scale not asked for", said)
        require(offer.sack or not said.sack_permitted, "SACK not asked for", said)
        require(said.tsval is None or said.tsecr in self.tsvals, "TSecr", said)
        self._agree(said)
        self.state, self.una = OPEN, 1
        return [self.acknowledge()]

    # RFC 7323 §2.2, §3.2, RFC 2018 §2: what both have said holds for both.
    def _agree(self, syn: Said) -> None:
        offer = self.abilities
        self.irs, self.got = syn.seq, 1
        self.sack = offer.sack and syn.sack_permitted
        self.timestamps = offer.timestamps and syn.tsval is not None
        self.scaled = offer.wscale is not None and syn.wscale is not None
        if self.scaled:
            self.shift, self.other_shift = offer.wscale, syn.wscale
        self.mss = syn.mss or MSS_DEFAULT
        self.right = 1 + syn.window
        self.recent = syn.tsval or 0

    # RFC 5961 §3.2.
    def _reset(self, said: Said) -> list[Said]:
        position = near(self.got, self.irs + self.got, said.seq)
        if position == self.got:
            self.state = CLOSED
        elif self.got < position < self.told:
            return [self.acknowledge()]
        return []

    def _check_options(self, said: Said) -> None:
        require((said.tsval is not None) == self.timestamps or self.lenient, "timestamps", said)
        if self.timestamps and said.tsval is not None:
            require(said.tsecr in self.tsvals, "TSecr was never sent", said)
        require(self.sack or not said.sack, "SACK was not agreed on", said)
        for edge in (edge for block in said.sack for edge in block):
            position = near(self.una, self.isn + self.una, edge)
            require(0 < position <= self.far, "a SACK edge of nothing", said)

    def _take_ack(self, said: Said) -> None:
        position = near(self.una, self.isn + self.una, said.ack)
        require(0 <= position <= self.far, "it acknowledges what was never sent", said)
        self.right = max(self.right, position + (said.window << self.other_shift))
        self.una = max(self.una, position)
        self.nxt = max(self.nxt, self.una)
        if self.state == ANSWERING and self.una >= 1:
            self.state = OPEN

    def _take_data(self, said: Said) -> list[Said]:
        first, before = near(self.got, self.irs + self.got, said.seq), self.got
        end = first + len(said.payload)
        require(first >= 0, "it is from before the SYN", said)
        require(end <= self.told, "it brings more than was allowed", said)
        require(said.payload == stream(self.other_seed, first, len(said.payload)),
                "these bytes were never written there", said)
        if said.flags & FIN:
            require(self.other_fin_at in (None, end), "a second FIN", said)
            self.other_fin_at = end
        if said.payload:
            require(self.other_fin_at is None or end <= self.other_fin_at, "more than FIN", said)
            self._keep(first, end)
        if self.other_fin_at == self.got:
            self.got += 1
        if said.tsval is not None and first <= before:
            self.recent = said.tsval
        answer = said.payload or said.flags & FIN or first < before
        return [self.acknowledge()] if answer else []

    def _keep(self, first: int, end: int) -> None:
        if first > self.got:
            self.later = [block for block in self.later if block[0] > end or block[1] < first] + [
                (min([first, *(a for a, b in self.later if a <= end and b >= first)]),
                 max([end, *(b for a, b in self.later if a <= end and b >= first)]))]
            return
        self.got = max(self.got, end)
        for block in sorted(self.later):
            if block[0] <= self.got:
                self.got = max(self.got, block[1])
        self.later = [block for block in self.later if block[0] > self.got]


def reset_for(said: Said) -> list[Said]:
    """What RFC 9293 §3.10.7.1 has for who knows of no connection."""
    if said.flags & RST:
        return []
    if said.flags & ACK:
        return [Said(RST, seq=said.ack)]
    length = len(said.payload) + bool(said.flags & SYN) + bool(said.flags & FIN)
    return [Said(RST | ACK, ack=(said.seq + length) % WORDS)]
