"""Intended differences in which segments are sent at all.

Each function answers whether the difference is the one that its rule means.
"""

from dataclasses import replace

from appliance.lab.compare.intended_fields import client_syn, server_synack
from appliance.lab.compare.rules import Meeting

TIMESTAMPS_BYTES = 12       # RFC 7323 App. A: with the two NOPs before it
PLAIN_ACKS = ("A", "PA", "AU", "AEC")       # what alone opens a connection


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


def lax_cookie(meeting: Meeting) -> bool:
    """Numbers near the cookie's, or another TSecr than the cookie's, open a connection."""
    heard = meeting.kernel_alone("server")
    if not heard or heard.flags != "S" or meeting.said.side != "client":
        return False
    said, syn = meeting.said, client_syn(meeting)
    exact = (said.seq == syn.seq + 1 and said.ack == 1 and said.tsecr == 0
             and (said.tsval is None) == (syn.tsval is None))
    return not exact and not any(each.flags == "S" for each in meeting.ours_before("server"))


def probe_opens(meeting: Meeting) -> bool:
    """The probe of a client whose final ACK was lost comes from its ISN itself."""
    if both := meeting.field("server", ("S",), "seq"):
        return both[0].seq == "c-1" and both[1].seq == "c+0"
    said, heard = meeting.said, meeting.ours_alone("server")
    return bool(heard and heard.flags == "S" and said.side == "client" and "S" not in said.flags
                and said.seq == client_syn(meeting).seq)


def syn_by_each_ack(meeting: Meeting) -> bool:
    heard = meeting.kernel_alone("server")
    return bool(heard and heard.flags == "S" and meeting.said.side == "client" and any(
        each.flags == "S" and each.seq == heard.seq for each in meeting.ours_before("server")))


def own_syn_again(meeting: Meeting) -> bool:
    """By the clock, so it may come in the turn in which the kernel repeats its own."""
    heard = meeting.difference.ours
    return bool(heard and heard.side == "server" and heard.flags == "S" and any(
        each is not heard and replace(each, turn=heard.turn) == heard
        for each in meeting.ours if each.turn <= heard.turn))


def older_connection(meeting: Meeting) -> bool:
    """What belongs to no connection passes as it was said."""
    heard = meeting.ours_alone("server")
    return bool(heard and meeting.said.side == "client" and heard.flags == meeting.said.flags
                and not heard.ack.startswith("s")
                and not any(each.flags == "S" for each in meeting.ours_before("server")))


def synack_again(meeting: Meeting) -> bool:
    """The server has not got our ACK.  A client that gets the segment echoes its TSval."""
    if meeting.field("server", ("A", "PA", "FA"), "tsecr"):
        return sum(heard.flags == "SA" for heard in meeting.kernel if heard.side == "client") > 1
    if meeting.said.side != "server" or meeting.said.flags != "SA":
        return False
    if heard := meeting.kernel_alone("client"):
        return heard.flags == "SA" and heard.seq == "k+0"
    heard = meeting.ours_alone("server")
    return bool(heard and heard.flags == "A" and heard.ack == "s+1")


def synack_of_another(meeting: Meeting) -> bool:
    heard = meeting.kernel_alone("client")
    return bool(heard and heard.flags == "SA" and meeting.said.side == "server"
                and heard.seq != "k+0")


def syn_while_awaited(meeting: Meeting) -> bool:
    """A client's SYN again: the kernel takes its own SYN-ACK for the server's."""
    heard = meeting.kernel_alone("client") or meeting.kernel_alone("server")
    return bool(heard and heard.flags == "A" and meeting.said.flags == "S")


def syn_in_the_open(meeting: Meeting) -> bool:
    """A client's SYN again, late: the kernel gives it another cookie, and forgets the offset."""
    both = meeting.field("client", ("SA",), "seq", "tsval")
    return bool(both and meeting.said.flags == "S" and both[0].seq != "k+0"
                and both[1].seq == "k+0")


def no_synack(meeting: Meeting) -> bool:
    """What a server says that is no answer to the SYN: the kernel passes it, untranslated."""
    heard = meeting.kernel_alone("client")
    return bool(heard and meeting.said.side == "server" and heard.flags in ("S", "A")
                and heard.seq.startswith("s"))


def blind_rst(meeting: Meeting) -> bool:
    """A RST without ACK does not answer the SYN."""
    heard = meeting.kernel_alone("client")
    return bool(heard and meeting.said.flags == "R" and not server_synack(meeting))


def challenged(meeting: Meeting) -> bool:
    """The server acknowledges what was never sent."""
    heard = meeting.ours_alone("server")
    return bool(heard and heard.flags == "R" and meeting.said.side == "server"
                and "A" in meeting.said.flags and meeting.said.ack != 1)


def refused(meeting: Meeting) -> bool:
    """One end has refused before the server's SYN-ACK: the other is told again if it asks."""
    if not any("R" in say.flags for side in ("client", "server") for say in meeting.so_far(side)):
        return False
    if heard := meeting.ours_alone("server"):
        return heard.flags == "R" and meeting.said.flags == "SA"
    if heard := meeting.ours_alone("client"):
        return heard.flags == "RA" and meeting.said.side == "client"
    heard = meeting.kernel_alone("client")
    return bool(heard and heard.seq.startswith("s"))


def ports_again(meeting: Meeting) -> bool:
    """A valid cookie replaces the old connection, whose server is told; the kernel takes its ACK
    for one of the old connection's, where that has such numbers in its window."""
    syns = {say.seq for say in meeting.so_far("client") if say.flags == "S"}
    ours, kernel = meeting.ours_alone("server"), meeting.kernel_alone("server")
    return len(syns) > 1 and bool((ours and ours.flags in ("R", "S"))
                                  or (kernel and kernel.flags == "A"))


def timestamps_supplied(meeting: Meeting) -> bool:
    """The server has no timestamps, its client was told of them: a second SYN asks for segments
    that leave the option its room."""
    synack = server_synack(meeting)
    return synack is not None and synack.tsval is None and any(
        heard.side == "server" and heard.flags == "S" and heard.tsval is None
        and heard.mss == (client_syn(meeting).mss or 0) - TIMESTAMPS_BYTES
        for heard in meeting.ours)


def early_data(meeting: Meeting) -> bool:
    """Data that came before the server's SYN-ACK, held and sent behind it."""
    heard = meeting.ours_alone("server")
    return bool(heard and heard.payload_bytes and meeting.said.side == "server"
                and any(say.payload_bytes == heard.payload_bytes
                        for say in meeting.so_far("client")))
