"""One scripted connection: what its two ends say, and what they hear, in numbers of their own.

An end says and hears sequence numbers relative to ISNs and timestamps relative to clocks, each
named by a letter, so that what different proxies make of it can be compared:

    c  the client's           s  the server's           k  the proxy's own: its cookie
    "k+1" is one past the cookie's ISN; a number near none of them is "?"; zero is "0"

At the client a right number of the server's is near k.  "s+1" there is one that was not
translated.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from appliance.lab.compare.segment import Segment

Side = Literal["client", "server"]
NEAR = 1 << 17                  # further from a base a number is not said relative to it
WORD = 1 << 32
# Far from each other, from zero and from the wrap.
CLIENT_ISN, SERVER_ISN = 0x1C000000, 0xB5000000
CLIENT_CLOCK, SERVER_CLOCK = 0x2C000000, 0xA5000000


@dataclass(frozen=True)
class Say:
    """A segment that one end sends.  `seq` counts from its own ISN, `ack` from its peer's as it
    has heard it; `tsval` counts from its own clock's start, `tsecr` from what it last heard."""

    side: Side
    flags: str = "A"
    seq: int = 1
    ack: int | None = 1             # None: the field is zero
    payload_bytes: int = 0
    window: int = 64240
    mss: int | None = None
    wscale: int | None = None
    sack_permitted: bool = False
    tsval: int | None = None
    tsecr: int | None = 0           # None: the field is zero
    sack: tuple[tuple[int, int], ...] = ()
    after_s: float = 0              # time that passes before it is said


@dataclass(frozen=True)
class Heard:
    """A segment that came out at one end, in symbols."""

    side: Side
    turn: int                       # after which of the script's segments
    flags: str
    seq: str
    ack: str
    window: int
    payload_bytes: int
    mss: int | None
    wscale: int | None
    sack_permitted: bool
    tsval: str | None
    tsecr: str | None
    sack: tuple[tuple[str, str], ...]
    hop_limit: int
    traffic_class: int
    sound: bool


@dataclass(frozen=True)
class Addresses:
    client: str
    server: str
    sport: int
    dport: int


class Flow:
    """The state that both ends keep of a connection."""

    def __init__(self, addresses: Addresses) -> None:
        self.addresses = addresses
        self.turn = -1
        self.heard: list[Heard] = []
        self.segments: list[tuple[Side, Segment]] = []
        self.cookies: set[int] = set()          # ISNs of the SYN-ACKs that the client got
        self._isn: dict[str, int] = {"c": CLIENT_ISN, "s": SERVER_ISN}
        self._clock: dict[str, int] = {"c": CLIENT_CLOCK, "s": SERVER_CLOCK}
        self._peer_isn: dict[Side, int] = {}
        self._peer_tsval: dict[Side, int] = {}

    def segment(self, say: Say) -> Segment | None:
        """What goes on the wire; None where it would name a number that was never heard."""
        if say.ack is not None and say.side not in self._peer_isn:
            return None
        ours = "c" if say.side == "client" else "s"
        peer = self._peer_isn.get(say.side, 0)
        source, destination, sport, dport = self._from(say.side)
        timestamps = None
        if say.tsval is not None:
            echo = 0 if say.tsecr is None else self._peer_tsval.get(say.side, 0) + say.tsecr
            timestamps = (self._clock[ours] + say.tsval) % WORD, echo % WORD
        return Segment(
            source, destination, sport, dport, say.flags, seq=(self._isn[ours] + say.seq) % WORD,
            ack=0 if say.ack is None else (peer + say.ack) % WORD, window=say.window,
            mss=say.mss, wscale=say.wscale, sack_permitted=say.sack_permitted,
            timestamps=timestamps, payload=bytes(say.payload_bytes),
            sack=tuple(((peer + left) % WORD, (peer + right) % WORD) for left, right in say.sack))

    def _from(self, side: Side) -> tuple[str, str, int, int]:
        at = self.addresses
        if side == "client":
            return at.client, at.server, at.sport, at.dport
        return at.server, at.client, at.dport, at.sport

    def hear(self, side: Side, segment: Segment) -> Heard:
        self._learn(side, segment)
        first = "ksc" if side == "client" else "csk"        # the right one first
        last = "csk" if side == "client" else "skc"
        tsval = tsecr = None
        if segment.timestamps is not None:
            tsval = symbol(segment.timestamps[0], self._clock, first)
            tsecr = symbol(segment.timestamps[1], self._clock, last)
        heard = Heard(
            side, self.turn, segment.flags, symbol(segment.seq, self._isn, first),
            symbol(segment.ack, self._isn, last), segment.window, len(segment.payload),
            segment.mss, segment.wscale, segment.sack_permitted, tsval, tsecr,
            tuple((symbol(left, self._isn, last), symbol(right, self._isn, last))
                  for left, right in segment.sack),
            segment.hop_limit, segment.traffic_class, segment.sound)
        self.heard.append(heard)
        self.segments.append((side, segment))
        return heard

    def _learn(self, side: Side, segment: Segment) -> None:
        if "S" in segment.flags and "R" not in segment.flags:
            self._peer_isn[side] = segment.seq
            if side == "client" and "A" in segment.flags:
                self.cookies.add(segment.seq)
                self._isn["k"] = segment.seq
                if segment.timestamps is not None:
                    self._clock.setdefault("k", segment.timestamps[0])
        if segment.timestamps is not None:
            self._peer_tsval[side] = segment.timestamps[0]

    def to(self, side: Side) -> list[Heard]:
        return [heard for heard in self.heard if heard.side == side]


def symbol(number: int, bases: dict[str, int], preferred: Iterable[str]) -> str:
    """`number` relative to the first base that it is near to."""
    if number == 0:
        return "0"
    for letter in preferred:
        if letter in bases:
            distance = (number - bases[letter] + WORD // 2) % WORD - WORD // 2
            if abs(distance) < NEAR:
                return f"{letter}{distance:+d}"
    return "?"
