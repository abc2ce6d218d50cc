"""Intended differences in which segments are sent at all.

Each function answers whether the difference is the one that its rule means, and whether what ours
sends then is, to the last field, what it ought to be.
"""

from dataclasses import replace

from appliance.lab.compare import expected
from appliance.lab.compare.course import number
from appliance.lab.compare.expected import DATA_AND_ACKS
from appliance.lab.compare.rules import Meeting

PLAIN_ACKS = ("A", "PA", "AU", "AEC")       # what alone opens a connection
SYN_TIMEOUT_S = 1
NUMBERS = ("seq", "ack", "tsval", "tsecr", "sack")


def odd_flags(meeting: Meeting) -> bool:
    """nft takes for a SYN whatever has the flag, and for an ACK what has FIN or RST as well."""
    flags = meeting.said.flags
    if meeting.said.side == "server":
        return False
    if heard := meeting.kernel_alone("client"):
        return heard.flags == "SA" and "S" in flags and flags not in ("S", "SP", "SU", "SEC")
    if heard := meeting.kernel_alone("server"):
        return heard.flags == "S" and flags not in PLAIN_ACKS
    return False


def proves(meeting: Meeting) -> bool:
    """The client acknowledges, in all numbers, the SYN-ACK that it has got."""
    said, course = meeting.said, meeting.course
    announced = course.announced
    return (announced is not None and said.side == "client" and said.flags in PLAIN_ACKS
            and number("c", said.seq) == announced.ack and said.ack == 1
            and said.tsecr == 0 and (said.tsval is None) == (announced.tsval is None))


def lax_cookie(meeting: Meeting) -> bool:
    """Numbers near the cookie's, or another TSecr than the cookie's, open a connection."""
    heard = meeting.kernel_alone("server")
    return bool(heard and heard.flags == "S" and meeting.said.side == "client"
                and meeting.course.announced and not proves(meeting)
                and not any(each.flags == "S" for each in meeting.ours_before("server")))


def probe_opens(meeting: Meeting) -> bool:
    """The probe of a client whose final ACK was lost comes from its ISN itself."""
    course = meeting.course
    if both := meeting.field("server", ("S",), "seq"):
        return both[0].seq == "c-1" and both[1].seq == "c+0"
    return (meeting.said.seq == course.syn.seq
            and meeting.ours_alone_is(expected.syn_to_server(course)))


def syn_by_each_ack(meeting: Meeting) -> bool:
    heard = meeting.kernel_alone("server")
    return bool(heard and heard.flags == "S" and meeting.said.side == "client" and any(
        each.flags == "S" and each.seq == heard.seq for each in meeting.ours_before("server")))


def own_syn_again(meeting: Meeting) -> bool:
    """By the clock, or since the server asks for it: in a later turn than the first, or in the
    first where that lasts as long."""
    heard, turn = meeting.ours_alone("server"), meeting.difference.turn
    if not heard or heard.flags != "S":
        return False
    if any(replace(each, turn=turn) == heard for each in meeting.ours_before("server")):
        return True
    later = meeting.difference.script.says[turn + 1:turn + 2]
    return meeting.ours.count(heard) > 1 and any(say.after_s >= SYN_TIMEOUT_S for say in later)


def older_connection(meeting: Meeting) -> bool:
    """What belongs to no connection passes as it was said."""
    course = meeting.course
    return (meeting.said.side == "client" and course.asked is None
            and meeting.ours_alone_is(expected.as_said(course)))


def synack_again(meeting: Meeting) -> bool:
    """The server has not got our ACK.  A client that gets the segment echoes its TSval."""
    if meeting.field("server", ("A", "PA", "FA"), "tsecr"):
        return meeting.right and sum(
            heard.flags == "SA" for heard in meeting.kernel if heard.side == "client") > 1
    answered = meeting.course.answered
    if meeting.said.flags != "SA" or answered is None or answered == meeting.difference.turn:
        return False
    if heard := meeting.kernel_alone("client"):
        return heard.flags == "SA" and heard.seq == "k+0"
    return meeting.ours_alone_is(*expected.acks_of_synack(meeting.course))


def synack_of_another(meeting: Meeting) -> bool:
    heard = meeting.kernel_alone("client")
    return bool(heard and heard.flags == "SA" and meeting.said.side == "server"
                and heard.seq != "k+0")


def syn_while_awaited(meeting: Meeting) -> bool:
    """A client's SYN again: the kernel takes its own SYN-ACK for the server's."""
    if meeting.said.flags != "S" or meeting.course.answered is not None:
        return False
    heard = meeting.kernel_alone("client") or meeting.kernel_alone("server")
    return bool(heard and heard.flags == "A")


def syn_in_the_open(meeting: Meeting) -> bool:
    """A client's SYN again, late: the kernel gives it another cookie, and forgets the offset."""
    both = meeting.field("client", ("SA",), "seq", "tsval")
    return bool(both and meeting.said.flags == "S" and both[0].seq != "k+0" and meeting.right)


def no_synack(meeting: Meeting) -> bool:
    """What a server says that is no answer to the SYN: the kernel passes it, untranslated."""
    heard = meeting.kernel_alone("client")
    return bool(heard and meeting.said.side == "server" and heard.flags in ("S", "A")
                and heard.seq.startswith("s"))


def blind_rst(meeting: Meeting) -> bool:
    """A RST without ACK does not answer the SYN."""
    heard = meeting.kernel_alone("client")
    return bool(heard and heard.flags == "R" and meeting.said.flags == "R"
                and meeting.course.answered is None)


def old_rst(meeting: Meeting) -> bool:
    """One from before the window passes, and its end, if it takes the TSval, echoes it."""
    course = meeting.course
    if meeting.field("server", DATA_AND_ACKS, "tsecr"):
        return meeting.right and any("R" in say.flags for say in meeting.so_far("server"))
    answer = course.answer
    return (answer is not None and meeting.said.side == "server" and "R" in meeting.said.flags
            and meeting.said.seq <= answer.seq
            and meeting.ours_alone_is(expected.translated(course)))


def challenged(meeting: Meeting) -> bool:
    """The server acknowledges what was never sent."""
    said = meeting.said
    return (said.side == "server" and "A" in said.flags and said.ack not in (1, None)
            and meeting.ours_alone_is(expected.rst_to_server(meeting.course, said.ack or 0)))


def refused(meeting: Meeting) -> bool:
    """One end has refused before the server's SYN-ACK: the other is told again if it asks."""
    course = meeting.course
    if not any("R" in say.flags for side in ("client", "server") for say in meeting.so_far(side)):
        return False
    if meeting.difference.ours:
        return meeting.ours_alone_is(
            expected.rst_to_server(course, course.syn.seq + 1) if meeting.said.flags == "SA"
            else expected.rst_to_client(course))
    heard = meeting.kernel_alone("client")
    return bool(heard and heard.seq.startswith("s"))


def ports_again(meeting: Meeting) -> bool:
    """A valid cookie replaces the old connection, whose server is told; the kernel takes its ACK
    for one of the old connection's, where that has such numbers in its window, and the answer to
    our SYN for the old SYN-ACK again."""
    course, said = meeting.course, meeting.said
    if len({say.seq for say in meeting.so_far("client") if say.flags == "S"}) < 2:
        return False
    if said.side == "server":
        heard = meeting.kernel_alone("client")
        return bool(heard and (heard.flags, heard.seq) == ("SA", "k+0")
                    and course.answered == course.turn)
    if kernel := meeting.kernel_alone("server"):
        return kernel.flags == "A" and kernel.seq == number("c", said.seq)
    acked = [say.ack for say in meeting.so_far("server") if say.ack is not None]
    return meeting.ours_alone_is(expected.rst_to_server(course, max(acked, default=1)),
                                 expected.syn_to_server(course))


def asked_for_room(meeting: Meeting) -> bool:
    """The server has no timestamps, its client was told of them: a RST and a second SYN ask for
    segments that leave the option its room, while the kernel goes on, and takes the second answer
    for the first again."""
    course, said = meeting.course, meeting.said
    asked, told, kernel = course.asked, course.announced, meeting.difference.kernel
    if (said.flags != "SA" or said.tsval is not None or told is None or told.tsval is None
            or asked is None or asked.tsval is not None):
        return False
    if kernel:
        flags = "A" if asked.turn == course.turn else "SA"
        return meeting.difference.ours is None and kernel.flags == flags
    if asked.turn != course.turn:
        return False
    again = [replace(each, turn=course.turn, tsval=None, tsecr=None,
                     mss=expected.offered_mss(course) - expected.TIMESTAMPS_BYTES)
             for each in meeting.ours_before("server") if each.flags == "S"]
    return meeting.ours_alone_is(*again, expected.rst_to_server(course, course.syn.seq + 1))


def early_data(meeting: Meeting) -> bool:
    """What came before the server's SYN-ACK, held and sent behind it."""
    return meeting.ours_alone_is(*expected.held_segments(meeting.course))


# What follows where the kernel has gone wrong before.

def kernels_own(meeting: Meeting) -> bool:
    """A connection that only the kernel has; ours passes what it has not to judge."""
    course, difference = meeting.course, meeting.difference
    open_before = course.answered is not None and course.answered < difference.turn
    if open_before or (proves(meeting) and course.asked is None):
        return False
    if difference.ours is None:
        return True
    said = expected.as_said(course)
    return (course.asked is None and difference.kernel is not None
            and difference.field in NUMBERS
            and getattr(said, difference.field) == getattr(difference.ours, difference.field))


def ours_goes_on(meeting: Meeting) -> bool:
    """Ours sends what the kernel ought to, in the numbers that its receiver ought to get."""
    difference = meeting.difference
    if difference.kernel is not None and difference.field not in NUMBERS:
        return False
    return meeting.right
