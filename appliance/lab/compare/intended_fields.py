"""Intended differences in what a segment says that both the kernel and ours send.

Each function answers whether the difference is the one that its rule means, and whether ours is
then what it ought to be.
"""

from appliance.lab.compare import expected
from appliance.lab.compare.contestants import WSCALE
from appliance.lab.compare.course import distance, number
from appliance.lab.compare.expected import DATA_AND_ACKS, UNSCALED_MAX
from appliance.lab.compare.rules import Meeting

EARLY_WINDOW_BYTES = 8192
EMPTY = (0, None, False)
SCRIPT_MS_MAX = 30_000          # no script lasts longer


def routed(meeting: Meeting) -> bool:
    kernel, ours = meeting.difference.kernel, meeting.difference.ours
    return (meeting.difference.field == "hop_limit" and kernel is not None and ours is not None
            and kernel.hop_limit == ours.hop_limit - 1)


def cookie_in_syn(meeting: Meeting) -> bool:
    if both := meeting.field("server", ("S",), "ack"):
        return both[1].ack == "0"
    if both := meeting.field("server", ("S",), "tsecr"):
        return both[1].tsecr == "0"
    return False


def syn_window(meeting: Meeting) -> bool:
    if both := meeting.field("server", ("S",), "window"):
        kernel, ours = both
        return ours.window == min(UNSCALED_MAX, kernel.window << (ours.wscale or 0))
    return False


def exact_mss(meeting: Meeting) -> bool:
    both = meeting.field("server", ("S",), "mss")
    return bool(both and both[1].mss == expected.offered_mss(meeting.course))


def plain_options(meeting: Meeting) -> bool:
    """A client without timestamps keeps SACK, and a window scale."""
    course = meeting.course
    if both := meeting.field("server", ("S",), "sack_permitted", "wscale"):
        wscale = expected.offered_wscale(course)
    elif both := meeting.field("client", ("SA",), "sack_permitted", "wscale"):
        wscale = None if expected.offered_wscale(course) is None else WSCALE
    if not both or both[1].tsval is not None:
        return False
    if meeting.difference.field == "wscale":
        return both[1].wscale == wscale
    return both[1].sack_permitted == expected.offered_sack(course)


def tsecr_of_ack(meeting: Meeting) -> bool:
    """The kernel translates the TSecr of its own ACK a second time, into nowhere."""
    both = meeting.field("server", ("A",), "tsecr")
    return bool(both and both[0].tsecr == "?" and meeting.right)


def window_to_client(meeting: Meeting) -> bool:
    """What the server said, by the scale that the client was told."""
    return bool(meeting.field("client", DATA_AND_ACKS, "window")
                and meeting.said.side == "server" and meeting.right)


def window_to_server(meeting: Meeting) -> bool:
    """A server without window scale gets windows that are not scaled."""
    both, answer = meeting.field("server", DATA_AND_ACKS, "window"), meeting.course.answer
    return bool(both and answer and answer.wscale is None and meeting.right)


def repeated_clock(meeting: Meeting) -> bool:
    """TSvals that count from the last of several SYN-ACKs."""
    both = meeting.field("client", ("SA", *DATA_AND_ACKS), "tsval")
    syns = [say for say in meeting.so_far("client") if say.flags == "S"]
    return bool(both and len(syns) > 1 and (both[0].tsval or "").startswith("k") and meeting.right)


def refusal(meeting: Meeting) -> bool:
    """A RST of the server's in answer to the SYN, as the client's own SYN would have met it."""
    both = meeting.field("client", ("RA",), "window", "mss", "wscale", "sack_permitted", "tsval",
                         "tsecr")
    return bool(both and getattr(both[1], meeting.difference.field) in EMPTY)


def rst_of_client(meeting: Meeting) -> bool:
    """The client gives up while the server is awaited."""
    both = meeting.field("server", ("R",), "window")
    return bool(both and both[1].window == 0 and meeting.course.answered is None)


def tsecr_without_ack(meeting: Meeting) -> bool:
    return bool(meeting.field("server", ("R",), "tsecr") and meeting.right)


def rst_seq(meeting: Meeting) -> bool:
    """The kernel sends a server's RST on with the number of its first byte."""
    return bool(meeting.field("client", ("R", "RA"), "seq") and meeting.right)


def echo_of_repeated_syn(meeting: Meeting) -> bool:
    """The kernel's SYN was said again with a later TSval, which the server has echoed."""
    both = meeting.field("client", ("A",), "tsecr") or meeting.field("server", ("A",), "tsval")
    syns = [heard for heard in meeting.kernel if heard.side == "server" and heard.flags == "S"
            and heard.turn < meeting.difference.turn]
    return bool(both and len(syns) > 1 and meeting.right)


def learned(meeting: Meeting) -> bool:
    """The server's last SYN-ACK had said so, to a former connection."""
    both = meeting.field("client", ("SA",), "mss", "wscale", "sack_permitted")
    said = [say for say in meeting.so_far("server") if say.flags == "SA"]
    return bool(both and said and meeting.said.side == "client" and getattr(
        both[1], meeting.difference.field) == getattr(said[-1], meeting.difference.field))


def early_window(meeting: Meeting) -> bool:
    both = meeting.field("client", ("SA",), "window")
    return bool(both and both[0].window == 0 and both[1].window == EARLY_WINDOW_BYTES)


def timestamps_supplied(meeting: Meeting) -> bool:
    """The server has none, its client was told of them: it gets none, and its client ours, of a
    clock that counts milliseconds from the SYN-ACK on."""
    course = meeting.course
    answer, announced = course.answer, course.announced
    if not answer or answer.tsval is not None or not announced or announced.tsval is None:
        return False
    if meeting.field("server", DATA_AND_ACKS, "tsval", "tsecr"):
        return meeting.right
    both = meeting.field("client", DATA_AND_ACKS, "tsval", "tsecr")
    if not both or meeting.said.tsval is not None:
        return False
    if meeting.difference.field == "tsval":
        return ((both[1].tsval or "?")[0] == announced.seq[0]
                and 0 < distance(both[1].tsval) < SCRIPT_MS_MAX)
    latest = max(say.tsval or 0 for say in meeting.so_far("client"))
    return both[1].tsecr == number("c", latest)
