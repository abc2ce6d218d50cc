"""One scripted connection: what its two ends say, and what they hear, in numbers of their own.

An end says and hears sequence numbers relative to ISNs and timestamps relative to clocks, each
named by a letter, so that what different proxies make of it can be compared:

    c  the client's           s  the server's           k  the proxy's own: its cookie
    "k+1" is one past the cookie's ISN; a number near none of them is "?"; zero is "0".
    A second cookie that the client gets is l, a third m.

At the client a right number of the server's is near k.  "s+1" there is one that was not
translated.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from appliance.lab.compare.segment import Segment

Side = Literal["client", "server"]
COOKIES = "klmn"
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
    mirrors: bool = False           # no option that the peer's SYN had not
    opens: bool = False             # from here the client goes by the next SYN-ACK's numbers
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
        self.cookies: dict[int, str] = {}       # letters, by the ISNs of the client's SYN-ACKs
        self._offered: dict[Side, Segment] = {}     # the peer's SYN or SYN-ACK
        self._isn: dict[str, int] = {"c": CLIENT_ISN, "s": SERVER_ISN}
        self._clock: dict[str, int] = {"c": CLIENT_CLOCK, "s": SERVER_CLOCK}
        self._peer_isn: dict[Side, int] = {}
        self._peer_tsval: dict[Side, int] = {}

    def segment(self, say: Say) -> Segment | None:
        """What goes on the wire; None where it would name a number that was never heard."""
        if say.opens:
            self._peer_isn.pop(say.side, None)
            self._peer_tsval.pop(say.side, None)
        if say.ack is not None and say.side not in self._peer_isn:
            return None
        if say.mirrors:
            say = self._mirror(say)
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

    def _mirror(self, say: Say) -> Say:
        offered = self._offered.get(say.side)
        if offered is None:
            return say
        return replace(
            say, wscale=None if offered.wscale is None else say.wscale,
            sack_permitted=say.sack_permitted and offered.sack_permitted,
            tsval=None if offered.timestamps is None else say.tsval)

    def _from(self, side: Side) -> tuple[str, str, int, int]:
        at = self.addresses
        if side == "client":
            return at.client, at.server, at.sport, at.dport
        return at.server, at.client, at.dport, at.sport

    def hear(self, side: Side, segment: Segment) -> Heard:
        self._learn(side, segment)
        ours = "".join(reversed(self.cookies.values()))
        first = f"{ours}sc" if side == "client" else f"cs{ours}"        # the right one first
        last = f"cs{ours}" if side == "client" else f"s{ours}c"
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
        return heard

    def _learn(self, side: Side, segment: Segment) -> None:
        if segment.flags == "SA" and side == "client":
            self._learn_cookie(segment)
            if self._peer_isn["client"] != segment.seq:
                return                          # a stack's end would not take it
        elif "S" in segment.flags and "A" not in segment.flags and side == "server":
            self._peer_isn[side] = segment.seq
            self._offered[side] = segment
        if segment.timestamps is not None:
            self._learn_tsval(side, segment.timestamps[0])

    def _learn_tsval(self, side: Side, tsval: int) -> None:
        """RFC 7323 §4.3: an older one is not echoed."""
        recent = self._peer_tsval.setdefault(side, tsval)
        if (tsval - recent) % WORD < WORD // 2:
            self._peer_tsval[side] = tsval

    def _learn_cookie(self, synack: Segment) -> None:
        if synack.seq not in self.cookies:
            letter = COOKIES[min(len(self.cookies), len(COOKIES) - 1)]
            self.cookies[synack.seq] = letter
            self._isn[letter] = synack.seq
            if synack.timestamps is not None:
                self._clock[letter] = synack.timestamps[0]
        if "client" not in self._peer_isn:
            self._peer_isn["client"] = synack.seq
            self._offered["client"] = synack

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
