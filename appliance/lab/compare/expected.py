"""What ought to come of a segment, told from what the two ends said and heard, in their symbols.

Nothing of a proxy takes part: a connection's numbers are moved by one constant, its windows by the
scales that both ends were told (design: RFC 9293, RFC 7323 §2.2-2.3, §3.2, RFC 2018 §3).  So what
ours alone sends, where the kernel is silent or wrong, is held against these to the last field.
"""

from collections.abc import Iterator
from dataclasses import replace

from appliance.lab.compare.course import SYN_ACKS, Course, distance, number
from appliance.lab.compare.flow import Heard

UNSCALED_MAX = 65535
TIMESTAMPS_BYTES = 12                   # RFC 7323 App. A: with the two NOPs before it
MSS_DEFAULT = {4: 536, 6: 1220}         # RFC 9293 §3.7.1
# What a cookie without timestamps keeps: a class of MSS, and beside it SACK with one of its scales.
MSS_CLASSES = {4: (536, 1238, 1290, 1344, 1401, 1460), 6: (536, 1220, 1272, 1326, 1382, 1440)}
PLAIN_WSCALES = ((), (6,), (6,), (6, 8), (6, 8), (6, 7, 8, 10))
ONLY_SCALED = 2                         # the class that is kept with a scale alone
HOP_LIMIT = 64                          # that of all says
DATA_AND_ACKS = ("A", "PA", "FA", "PAU")


def as_said(course: Course) -> Heard:
    """The other end hears what was said, in the numbers of the one who said it."""
    say, letter = course.said, course.letter or "?"
    ours, peer = ("c", letter) if say.side == "client" else ("s", "c")
    tsecr = None
    if say.tsval is not None:
        recent = course.recent(say.side, peer)
        tsecr = "0" if say.tsecr is None or recent is None else number(peer, recent + say.tsecr)
    base = 0
    if say.side == "server" and course.asked:
        base = distance(course.asked.seq)
    return Heard(
        "server" if say.side == "client" else "client", course.turn, say.flags,
        number(ours, say.seq), "0" if say.ack is None else number(peer, base + say.ack),
        say.window, say.payload_bytes, say.mss, say.wscale, say.sack_permitted,
        None if say.tsval is None else number(ours, say.tsval), tsecr,
        tuple((number(peer, base + left), number(peer, base + right))
              for left, right in say.sack), HOP_LIMIT, 0, True)


def translated(course: Course) -> Heard | None:
    """The same in the numbers of the one who hears it; None without a connection."""
    answer, letter = course.answer, course.letter
    if answer is None or letter is None or course.turn == course.answered:
        return None
    said = as_said(course)
    if said.side == "client":
        said = replace(said, seq=number(letter, course.said.seq - answer.seq),
                       window=window_to_client(course, course.said.window))
        if said.tsval is None or answer.tsval is None:
            return said
        return replace(said, tsval=number(letter, distance(said.tsval) - answer.tsval))
    said = replace(said, window=window_to_server(course, course.said.window))
    if "A" not in said.flags:
        return said                     # neither ACK nor TSecr means anything: RFC 7323 §3.2
    if answer.tsval is None:
        said = replace(said, tsval=None, tsecr=None)
    said = replace(said, ack=_moved(said.ack, answer.seq), sack=tuple(
        (_moved(left, answer.seq), _moved(right, answer.seq)) for left, right in said.sack))
    if said.tsecr in (None, "0"):
        return said
    return replace(said, tsecr=_moved(said.tsecr, answer.tsval))


def _moved(symbol: str | None, by: int | None) -> str:
    """From the cookie's numbers to the server's."""
    return number("s", distance(symbol) + (by or 0))


def window_to_client(course: Course, window: int, *, scaled: bool = True) -> int:
    """What the server said, in the scale that the client was told; never a false zero."""
    answer, announced = course.answer, course.announced
    if answer is None or announced is None:
        return window
    real = (answer.wscale or 0) if scaled and course.syn.wscale is not None else 0
    taken = announced.wscale or 0
    return min(UNSCALED_MAX, max(window << real >> taken, window > 0))


def window_to_server(course: Course, window: int) -> int:
    """What the client said; written out where the server scales nothing."""
    answer, asked = course.answer, course.asked
    if answer is None or asked is None or asked.wscale is None or answer.wscale is not None:
        return window
    return min(UNSCALED_MAX, window << asked.wscale)


def offered_mss(course: Course) -> int:
    """The client's own, or without timestamps its class."""
    family, syn = course.script.family, course.syn
    offered = syn.mss or MSS_DEFAULT[family]
    if syn.tsval is not None:
        return offered
    scaled = syn.sack_permitted and syn.wscale is not None and syn.wscale >= min(
        PLAIN_WSCALES[ONLY_SCALED])
    return max(size for at, size in enumerate(MSS_CLASSES[family])
               if size <= offered and (scaled or at != ONLY_SCALED))


def offered_wscale(course: Course) -> int | None:
    """Without timestamps at most one that is kept beside its MSS and SACK."""
    syn = course.syn
    if syn.tsval is not None or syn.wscale is None:
        return syn.wscale
    scales = PLAIN_WSCALES[MSS_CLASSES[course.script.family].index(offered_mss(course))]
    return max((scale for scale in scales if syn.sack_permitted and scale <= syn.wscale),
               default=None)


def offered_sack(course: Course) -> bool:
    """Without timestamps and scale only beside the MSS of a full frame."""
    syn = course.syn
    return syn.sack_permitted and (syn.tsval is not None or offered_wscale(course) is not None or (
        offered_mss(course) == MSS_CLASSES[course.script.family][-1]))


def syn_to_server(course: Course) -> Heard | None:
    """The SYN that the client could have sent, in the turn of its proof."""
    syn, proof = course.syn, course.said
    if proof.side != "client" or "A" not in proof.flags:
        return None
    wscale = offered_wscale(course)
    return Heard(
        "server", course.turn, "S", number("c", syn.seq), "0",
        min(UNSCALED_MAX, proof.window << (wscale or 0)), 0, offered_mss(course), wscale,
        offered_sack(course),
        None if syn.tsval is None else number("c", proof.tsval or 0),
        None if syn.tsval is None else "0", (), HOP_LIMIT, 0, True)


def _bare(side: str, turn: int, flags: str, seq: str, ack: str) -> Heard:
    """One of ours, without options and window."""
    return Heard("client" if side == "client" else "server", turn, flags, seq, ack, 0, 0, None,
                 None, False, None, None, (), HOP_LIMIT, 0, True)


def rst_to_server(course: Course, seq: int) -> Heard:
    return _bare("server", course.turn, "R", number("c", seq), "0")


def rst_to_client(course: Course) -> Heard:
    """In the client's own sequence space, before its server has ever answered."""
    return _bare("client", course.turn, "RA", number(course.letter or "?", 1),
                 number("c", course.syn.seq + 1))


def acks_of_synack(course: Course) -> Iterator[Heard]:
    """Ours, in the client's name; said again it opens a power of two that the client has."""
    answer = course.answer
    if answer is None or course.said.side != "server" or course.said.flags not in SYN_ACKS:
        return
    window = course.proof.window
    if course.turn != course.answered:
        window = 1 << (window - 1).bit_length() >> 1
    echoed = course.recent("server", "c")
    plain = answer.tsval is None or echoed is None
    yield replace(
        _bare("server", course.turn, "A", number("c", course.syn.seq + 1),
              number("s", answer.seq + 1)),
        window=window_to_server(course, window),
        tsval=None if plain else number("c", echoed or 0),
        tsecr=None if plain else number("s", course.said.tsval or 0))


def window_updates(course: Course) -> Iterator[Heard]:
    """To a client whose server has answered just now."""
    answer, announced = course.answer, course.announced
    if answer is None or announced is None or course.turn != course.answered:
        return
    letter = announced.seq[0]
    plain = announced.tsval is None
    yield replace(
        _bare("client", course.turn, "A", number(letter, 1), number("c", course.syn.seq + 1)),
        window=window_to_client(course, answer.window, scaled=False),
        tsval=None if plain else number(letter, 0),
        tsecr=None if plain else number("c", course.proof.tsval or 0))


def held_segments(course: Course) -> Iterator[Heard]:
    """What the client had said while the server was awaited, translated now."""
    asked = course.asked
    if asked is None or course.answer is None or course.turn != course.answered:
        return
    for turn, say in enumerate(course.script.says[:course.turn]):
        if turn < asked.turn or say.side != "client" or not (
                say.payload_bytes or "F" in say.flags):
            continue
        then = translated(replace(course, script=replace(
            course.script, says=(*course.script.says[:course.turn + 1], say)),
            turn=course.turn + 1))
        if then:
            yield replace(then, turn=course.turn, tsecr=_echo_at(course, turn, then))


def _echo_at(course: Course, turn: int, then: Heard) -> str | None:
    """A segment that waited echoes what its client had heard by then."""
    if then.tsecr is None or course.answer is None or course.letter is None:
        return then.tsecr
    recent = replace(course, turn=turn).recent("client", course.letter) or 0
    return number("s", recent + (course.answer.tsval or 0))


def outcomes(course: Course) -> Iterator[Heard]:
    """All that may rightly come of the turn's segment in an open or opening connection."""
    for one in (translated(course), syn_to_server(course), _synack_again(course)):
        if one is not None:
            yield one
    yield from acks_of_synack(course)
    yield from window_updates(course)
    yield from held_segments(course)


def owed(course: Course) -> Iterator[Heard]:
    """Of them, what must come in any case."""
    data = translated(course)
    if data is not None and course.said.flags in DATA_AND_ACKS:
        yield data
    if course.turn == course.answered:
        yield from acks_of_synack(course)
        yield from window_updates(course)
        yield from held_segments(course)


def _synack_again(course: Course) -> Heard | None:
    """A SYN that is said again gets what it got before."""
    if course.said.flags != "S" or course.said.side != "client":
        return None
    return next((replace(each, turn=course.turn) for each in course.at("client")
                 if each.flags == "SA" and each.turn < course.turn
                 and course.script.says[each.turn] == course.said), None)
