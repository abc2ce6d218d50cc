"""Intended differences in what a segment says that both the kernel and ours send.

Each function answers whether the difference is the one that its rule means.
"""

from appliance.lab.compare.contestants import WSCALE
from appliance.lab.compare.flow import Say
from appliance.lab.compare.rules import Meeting

UNSCALED_MAX = 65535
MSS_DEFAULT = {4: 536, 6: 1220}         # RFC 9293 §3.7.1
MSS_CLASSES = {4: (536, 1238, 1290, 1344, 1401, 1460), 6: (536, 1220, 1272, 1326, 1382, 1440)}
PLAIN_WSCALES = (7, 8)                  # kept without timestamps; a larger one becomes 8
DATA_AND_ACKS = ("A", "PA", "FA", "PAU")


def client_syn(meeting: Meeting) -> Say:
    """The client's SYN that ours speaks of, or its last, or what stands in its place."""
    said = meeting.so_far("client")
    syns = [say for say in said if "S" in say.flags]
    ours = meeting.difference.ours
    if ours and ours.side == "server" and ours.flags == "S":
        return next((say for say in syns if f"c{say.seq:+d}" == ours.seq), said[0])
    return syns[-1] if syns else said[0]


def server_synack(meeting: Meeting) -> Say | None:
    return next((say for say in meeting.so_far("server") if say.flags == "SA"), None)


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
    if not both:
        return False
    family = meeting.difference.script.family
    offered = client_syn(meeting).mss or MSS_DEFAULT[family]
    if both[1].tsval is not None:
        return both[1].mss == offered
    return both[1].mss == max(size for size in MSS_CLASSES[family] if size <= offered)


def plain_options(meeting: Meeting) -> bool:
    """A client without timestamps keeps SACK, and a window scale."""
    syn = client_syn(meeting)
    both = (meeting.field("client", ("SA",), "sack_permitted", "wscale")
            or meeting.field("server", ("S",), "sack_permitted", "wscale"))
    if not both or both[1].tsval is not None:
        return False
    ours = both[1]
    if meeting.difference.field == "sack_permitted":
        return ours.sack_permitted and syn.sack_permitted
    scales = (WSCALE,) if meeting.difference.side == "client" else PLAIN_WSCALES
    return ours.wscale in scales and syn.wscale is not None and syn.wscale >= scales[0]


def tsecr_of_ack(meeting: Meeting) -> bool:
    """The kernel translates the TSecr of its own ACK a second time, into nowhere."""
    both = meeting.field("server", ("A",), "tsecr")
    return bool(both and both[0].tsecr == "?" and (both[1].tsecr or "").startswith("s"))


def window_to_client(meeting: Meeting) -> bool:
    """What the server said, by the scale that the client was told."""
    both = meeting.field("client", DATA_AND_ACKS, "window")
    synack = server_synack(meeting)
    if not both or synack is None or meeting.said.side != "server":
        return False
    scale = 0 if "S" in meeting.said.flags else synack.wscale or 0
    right = meeting.said.window << scale >> WSCALE
    return both[1].window == min(UNSCALED_MAX, max(right, meeting.said.window > 0))


def window_to_server(meeting: Meeting) -> bool:
    """A server without window scale gets windows that are not scaled."""
    both = meeting.field("server", DATA_AND_ACKS, "window")
    synack = server_synack(meeting)
    if not both or synack is None or synack.wscale is not None:
        return False
    scale = client_syn(meeting).wscale or 0
    return both[1].window == min(UNSCALED_MAX, both[0].window << scale)


def repeated_clock(meeting: Meeting) -> bool:
    """TSvals that count from the last of several SYN-ACKs."""
    both = meeting.field("client", ("SA", "A", "PA", "FA"), "tsval")
    syns = [say for say in meeting.so_far("client") if say.flags == "S"]
    return bool(both and len(syns) > 1 and (both[0].tsval or "").startswith("k")
                and (both[1].tsval or "").startswith("k"))


def refusal(meeting: Meeting) -> bool:
    """A RST of the server's in answer to the SYN, as the client's own SYN would have met it."""
    both = meeting.field("client", ("RA",), "window", "mss", "wscale", "sack_permitted", "tsval",
                         "tsecr")
    return bool(both and both[1].window == 0 and both[1].mss is None and both[1].tsval is None)


def rst_of_client(meeting: Meeting) -> bool:
    """The client gives up while the server is awaited."""
    both = meeting.field("server", ("R",), "window")
    return bool(both and both[1].window == 0 and not server_synack(meeting))


def tsecr_without_ack(meeting: Meeting) -> bool:
    both = meeting.field("server", ("R",), "tsecr")
    return bool(both and both[1].tsecr is not None and both[1].tsecr.startswith("k"))


def rst_seq(meeting: Meeting) -> bool:
    """The kernel sends a server's RST on with the number of its first byte."""
    both = meeting.field("client", ("R", "RA"), "seq")
    return bool(both and both[1].seq == f"k{meeting.said.seq:+d}")


def echo_of_repeated_syn(meeting: Meeting) -> bool:
    """The kernel's SYN was said again with a later TSval, which the server has echoed."""
    both = meeting.field("client", ("A",), "tsecr") or meeting.field("server", ("A",), "tsval")
    syns = [heard for heard in meeting.kernel if heard.side == "server" and heard.flags == "S"
            and heard.turn < meeting.difference.turn]
    return bool(both) and len(syns) > 1


def learned(meeting: Meeting) -> bool:
    """The server's last SYN-ACK had said so, to a former connection."""
    both = meeting.field("client", ("SA",), "mss", "wscale", "sack_permitted")
    said = [say for say in meeting.so_far("server") if say.flags == "SA"]
    return bool(both and said and meeting.said.side == "client" and getattr(
        both[1], meeting.difference.field) == getattr(said[-1], meeting.difference.field))


def early_window(meeting: Meeting) -> bool:
    both = meeting.field("client", ("SA",), "window")
    return bool(both and both[0].window == 0 < both[1].window)
