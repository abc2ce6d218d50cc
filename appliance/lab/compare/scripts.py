"""The scripts of the differential run, from small tables: what a client and a server may say.

Ages of cookies are those that a run can wait for, up to AGES_S; the edges at one and two epochs
are tested in virtual time (tests/proxy/test_cookie).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations, product

from appliance.lab.compare.flow import Say, Side
from appliance.lab.compare.script import Script
from appliance.lab.compare.stand import FAMILIES
from appliance.lab.compare.talk import ACK, SYN, SYN_ACK

AGES_S = (0, 2, 6, 15)
LATE_S = 1.5            # the SYN to the server has been said again by then
MSS = (None, 536, 1300, 1400, 1460, 8960)
WSCALES = (None, 0, 7, 14)
FIRST_FLAGS = ("", "A", "F", "FA", "R", "RA", "SF", "SR", "SA", "SFR", "SP", "SU", "SEC", "FPU")
THIRD_FLAGS = ("", "F", "FA", "R", "RA", "S", "SA", "PA", "AU", "AEC")
ANSWER_FLAGS = ("S", "A", "R", "RA", "SFA", "SRA", "SAE", "F", "")
LATER_FLAGS = ("", "F", "S", "SA", "R", "RA", "PAU", "FPU", "SFA")
AWAY = 1 << 16          # beyond any window that the scripts open
REOPENED = 100_000      # a later ISN of the same client, from the first

ANSWER = replace(SYN_ACK, mirrors=True)
CLIENT_DATA = Say("client", "PA", payload_bytes=100, tsval=30)
SERVER_ACKS = Say("server", ack=101, tsval=40)
SERVER_DATA = Say("server", "PA", ack=101, payload_bytes=200, tsval=50)
CLIENT_ACKS = Say("client", seq=101, ack=201, tsval=60)
OPENING = (SYN, ACK, ANSWER)
CONVERSATION = (
    *OPENING, CLIENT_DATA, SERVER_ACKS, SERVER_DATA, CLIENT_ACKS,
    Say("client", "FA", seq=101, ack=201, tsval=70),
    Say("server", seq=201, ack=102, tsval=80),
    Say("server", "FA", seq=201, ack=102, tsval=90),
    Say("client", seq=102, ack=202, tsval=100),
)
ENDS = {                # of a connection on which nothing was said
    "client's FIN": Say("client", "FA", tsval=70),
    "server's FIN": Say("server", "FA", tsval=70),
    "client's RST": Say("client", "R", ack=None),
    "server's RST": Say("server", "R", ack=None),
}


def scripts() -> list[Script]:
    """All of them; their names are unlike."""
    bodies = [body for group in (
        _option_sets, _repeated_legs, _late_legs, _first_flags, _third_flags, _answers,
        _later_flags, _ages, _numbers, _ends, _sack_blocks, _reopenings, _probes,
        _server_options, _silences) for body in group()]
    return [Script(f"{name}, IPv{family}", family, says)
            for name, says in bodies for family in FAMILIES]


Body = tuple[str, tuple[Say, ...]]


def _plain(says: Sequence[Say]) -> tuple[Say, ...]:
    """The same without timestamps."""
    return tuple(replace(say, tsval=None) for say in says)


def _either(name: str, says: Sequence[Say]) -> Iterator[Body]:
    yield f"{name}, timestamps", tuple(says)
    yield f"{name}, no timestamps", _plain(says)


def _option_sets() -> Iterator[Body]:
    for mss, wscale, sack in product(MSS, WSCALES, (True, False)):
        syn = replace(SYN, mss=mss, wscale=wscale, sack_permitted=sack)
        yield from _either(f"options: MSS {mss}, wscale {wscale}, {'' if sack else 'no '}SACK",
                           (syn, ACK, ANSWER, CLIENT_DATA, SERVER_DATA))


def _repeated_legs() -> Iterator[Body]:
    for at, times in product(range(len(CONVERSATION)), (2, 3)):
        says = (*CONVERSATION[:at], *[CONVERSATION[at]] * times, *CONVERSATION[at + 1:])
        yield from _either(f"leg {at} said {times} times", says)


def _late_legs() -> Iterator[Body]:
    for at, later in product(range(len(CONVERSATION) - 2), (2, 4)):
        says = [*CONVERSATION]
        says.insert(at + later, CONVERSATION[at])
        yield f"leg {at} again {later} legs later", tuple(says)


def _first_flags() -> Iterator[Body]:
    for flags in FIRST_FLAGS:
        first = replace(SYN, flags=flags, ack=None)
        yield f"first segment {flags or 'without flags'}", (first, ACK, ANSWER)
        if "A" in flags:
            yield f"first segment {flags}, no options", (
                Say("client", flags, ack=None), ACK, ANSWER)


def _third_flags() -> Iterator[Body]:
    for flags in THIRD_FLAGS:
        yield from _either(f"third segment {flags or 'without flags'}",
                           (SYN, replace(ACK, flags=flags), ANSWER, CLIENT_DATA))


def _answers() -> Iterator[Body]:
    for flags, ack in product(ANSWER_FLAGS, (1, 40000)):
        answer = replace(ANSWER, flags=flags, ack=ack if "A" in flags else None)
        if "A" in flags or ack == 1:
            yield f"server answers {flags or 'without flags'}, ack c+{ack}", (
                SYN, ACK, answer, CLIENT_DATA)


def _later_flags() -> Iterator[Body]:
    sides: tuple[Side, ...] = ("client", "server")
    for side, flags, seq in product(sides, LATER_FLAGS, (1, 0, AWAY)):
        odd = Say(side, flags, seq=seq, ack=1 if "A" in flags else None, tsval=25)
        yield f"{side} says {flags or 'no flags'} at {seq} in the open", (
            *OPENING, odd, CLIENT_DATA, SERVER_DATA)


def _ages() -> Iterator[Body]:
    for age in AGES_S:
        yield from _either(f"cookie {age} s old",
                           (SYN, replace(ACK, after_s=age), ANSWER, CLIENT_DATA))


def _numbers() -> Iterator[Body]:
    """Third ACKs that are off by a little."""
    for name, seq, ack in (
            ("ack one less", 1, 0), ("ack one more", 1, 2), ("seq one less", 0, 1),
            ("seq one more", 2, 1), ("seq two less", -1, 1), ("seq far", AWAY, 1)):
        yield from _either(f"third ACK with {name}",
                           (SYN, replace(ACK, seq=seq, ack=ack), ANSWER, CLIENT_DATA))
    for name, tsecr in {"one less": -1, "one more": 1, "64 more": 64, "zero": None}.items():
        yield f"third ACK with TSecr {name}", (
            SYN, replace(ACK, tsecr=tsecr), ANSWER, CLIENT_DATA)
    yield "third ACK without the timestamps agreed", (SYN, *_plain((ACK, ANSWER, CLIENT_DATA)))
    yield "third ACK with timestamps not agreed", (*_plain((SYN,)), ACK, ANSWER, CLIENT_DATA)


def _ends() -> Iterator[Body]:
    """Two ends in either order; then old segments of both sides, and the third ACK again."""
    old = (ACK, CLIENT_DATA, replace(SERVER_DATA, ack=1))
    for (first, one), (second, other) in permutations(ENDS.items(), 2):
        yield f"{first}, then {second}", (*OPENING, one, _after(one, other), *old)
    for name, end in ENDS.items():
        yield f"{name} twice", (*OPENING, end, end, *old)
        yield f"{name} before the server answers", (SYN, ACK, end, ANSWER, *old)


def _after(one: Say, other: Say) -> Say:
    """The second end knows of the first where that was a FIN of its own side, or its peer's."""
    if "F" not in one.flags:
        return other
    if one.side == other.side:
        return replace(other, seq=2)
    return replace(other, ack=2) if "A" in other.flags else other


def _sack_blocks() -> Iterator[Body]:
    """Of data that has come, with gaps before it."""
    blocks = ((301, 401), (501, 601), (701, 801), (901, 1001))
    sides: tuple[tuple[Side, Side], ...] = (("client", "server"), ("server", "client"))
    for (side, peer), count in product(sides, (1, 2, 3, 4)):
        sent = [Say(peer, "PA", seq=left, payload_bytes=right - left, tsval=30)
                for left, right in blocks[:count]]
        says = (*OPENING, *sent, Say(side, sack=blocks[:count], tsval=40))
        yield f"{count} SACK blocks of the {side}'s, no timestamps", _plain(says)
        if count < len(blocks):
            yield f"{count} SACK blocks of the {side}'s, timestamps", says


def _reopenings() -> Iterator[Body]:
    """The same ports again, with another ISN, in each state of the old connection."""
    again = tuple(
        replace(say, seq=say.seq + REOPENED, tsval=1000 + (say.tsval or 0))
        if say.side == "client" else say for say in OPENING)
    client_data = replace(CLIENT_DATA, seq=1 + REOPENED, tsval=1030)
    states = {"asked": (SYN,), "half open": (SYN, ACK), "open": OPENING,
              "closed by FINs": (*OPENING, ENDS["client's FIN"],
                                 replace(ENDS["server's FIN"], ack=2),
                                 Say("client", seq=2, ack=2, tsval=80)),
              **{f"ended by {name}": (*OPENING, end) for name, end in ENDS.items()}}
    for name, before in states.items():
        yield from _either(f"ports used again, {name}", (*before, *again, client_data))


def _probes() -> Iterator[Body]:
    probe = replace(ACK, seq=0)
    yield from _either("window probe as third segment", (SYN, probe, ANSWER, CLIENT_DATA))
    yield from _either("window probe while the server is awaited", (SYN, ACK, probe, ANSWER))
    yield from _either("data on the third ACK", (
        SYN, replace(ACK, flags="PA", payload_bytes=5), ANSWER))
    yield from _either("data while the server is awaited", (SYN, ACK, CLIENT_DATA, ANSWER))
    yield from _either("data on the SYN", (replace(SYN, payload_bytes=5), ACK, ANSWER))
    yield from _either("keep-alives", (*OPENING, Say("client", seq=0, tsval=30),
                                       Say("server", seq=0, tsval=30)))


def _server_options() -> Iterator[Body]:
    """A server that has been asked again for want of timestamps answers again."""
    without = _plain((SYN_ACK, SERVER_DATA, replace(SERVER_ACKS, window=1)))
    yield "server with no timestamps", (
        SYN, ACK, without[0], without[0], CLIENT_DATA, *without[1:])
    for name, answer in {
        "no SACK": replace(SYN_ACK, sack_permitted=False),
        "no wscale": replace(SYN_ACK, wscale=None),
        "wscale 0": replace(SYN_ACK, wscale=0),
        "wscale 3": replace(SYN_ACK, wscale=3),
        "wscale 14": replace(SYN_ACK, wscale=14),
        "MSS 536": replace(SYN_ACK, mss=536),
        "no MSS": replace(SYN_ACK, mss=None),
        "a closed window": replace(SYN_ACK, window=0),
    }.items():
        yield f"server with {name}", (
            SYN, ACK, answer, CLIENT_DATA, SERVER_DATA, replace(SERVER_ACKS, window=1))


def _silences() -> Iterator[Body]:
    """The server's SYN-ACK comes late, or again once the client has spoken."""
    yield from _either("server answers late", (
        SYN, ACK, replace(ANSWER, after_s=LATE_S), CLIENT_DATA, SERVER_DATA))
    yield from _either("client repeats its ACK to a late server", (
        SYN, ACK, replace(ACK, after_s=LATE_S), ANSWER, CLIENT_DATA))
