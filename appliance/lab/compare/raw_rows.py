"""Rows that no stack's socket shows: both ends are scripts, and read every field."""

import time
from collections.abc import Iterator
from dataclasses import replace

from appliance.lab.compare.flow import Heard, Say
from appliance.lab.compare.stand import Measured, Stand
from appliance.lab.compare.talk import ACK, PLAIN_ACK, PLAIN_SYN, SYN, SYN_ACK, Talk
from appliance.lab.epochs import epoch_await
from appliance.lab.waiting import until

SMALL_MSS = 1400
CLASS_WIDTH = 0.04                  # design/protocol §2, G10: without timestamps
WINDOWS = (1000, 1)                 # fields of a server that scales by ...
SERVER_WSCALE = 3
CONNTRACK_CLOSE_S = 10              # nf_conntrack_tcp_timeout_close: then the kernel has forgotten
REPLAYS = 3
EARLY_BYTES = 5
ROW_S = 5                           # more than a row takes


def mss_after_probe(stand: Stand, family: int) -> Measured:
    """G6.  The final ACK is lost; the client probes the closed window from its ISN itself."""
    offered = [_mss_at_server(stand, family, syn, replace(ack, seq=0), SMALL_MSS)
               for syn, ack in ((SYN, ACK), (PLAIN_SYN, PLAIN_ACK))]
    return Measured(f"{offered[0]}; without timestamps {offered[1]}",
                    offered[0] == SMALL_MSS and _is_class_of(offered[1], SMALL_MSS))


def _mss_at_server(stand: Stand, family: int, syn: Say, ack: Say, mss: int) -> int | None:
    talk = Talk(stand.raw, stand.raw.open(family)).shake_hands(replace(syn, mss=mss), ack)
    return talk.server_syn.mss if talk.server_syn else None


def _is_class_of(got: int | None, mss: int) -> bool:
    return got is not None and mss * (1 - CLASS_WIDTH) <= got <= mss


def other_wscale(stand: Stand, family: int) -> Measured:
    """G8.  What the client takes the server's window for, by the scale that it was told."""
    talk = Talk(stand.raw, stand.raw.open(family),
                replace(SYN_ACK, wscale=SERVER_WSCALE)).shake_hands()
    told = []
    for field in WINDOWS:
        heard = talk.say(Say("server", window=field, tsval=20))
        if not heard or not talk.client_synack:
            return Measured("no window told", False)
        announced = talk.client_synack.wscale or 0
        told.append((field << SERVER_WSCALE, heard[-1].window << announced, 1 << announced))
    return Measured(", ".join(f"{true} B told as {said} B" for true, said, _ in told),
                    all(said > 0 and abs(said - true) <= unit for true, said, unit in told))


def no_timestamps(stand: Stand, family: int) -> Measured:
    """G9.  What a client as Windows is offers, and what of it reaches the server."""
    talk = Talk(stand.raw, stand.raw.open(family)).shake_hands(
        replace(PLAIN_SYN, wscale=8), PLAIN_ACK)
    syn, synack = talk.server_syn, talk.client_synack
    if syn is None or synack is None:
        return Measured("not connected", False)
    kept = [*(["SACK"] if syn.sack_permitted else []),
            *([f"wscale {syn.wscale}"] if syn.wscale is not None else [])]
    return Measured(", ".join(kept) or "both lost",
                    syn.sack_permitted and syn.wscale == 8 and synack.sack_permitted)


def mss_kept(stand: Stand, family: int) -> Measured:
    """G10.  The MSS that reaches the server."""
    sizes = (SMALL_MSS, 1412)
    exact = [_mss_at_server(stand, family, SYN, ACK, mss) for mss in sizes]
    plain = [_mss_at_server(stand, family, PLAIN_SYN, PLAIN_ACK, mss) for mss in sizes]
    right = all(got == mss for got, mss in zip(exact, sizes, strict=True)) and all(
        _is_class_of(got, mss) for got, mss in zip(plain, sizes, strict=True))
    return Measured(f"{', '.join(map(str, exact))}; without timestamps "
                    f"{', '.join(map(str, plain))}", right)


def odd_flags(stand: Stand, family: int) -> Measured:
    """G11.  What is answered or opens a connection and must not."""
    taken = []
    for flags in ("SF", "SR", "SA"):
        talk = Talk(stand.raw, stand.raw.open(family))
        if talk.say(replace(SYN, flags=flags)):
            taken.append(flags)
    for flags in ("RA", "FA"):
        talk = Talk(stand.raw, stand.raw.open(family))
        talk.say(SYN)
        if talk.say(replace(ACK, flags=flags)):
            taken.append(flags)
    return Measured(f"{' '.join(taken)} taken" if taken else "all dropped", not taken)


def fewer_options(stand: Stand, family: int) -> Measured:
    """G14.  A server that lacks what was announced: translated now, told right to the next.
    Each epoch has one client ask for timestamps anew: the next one is to come in the same."""
    epoch_await(ROW_S)
    wrong = {option: ", ".join(lacks(stand, family)) for option, lacks in (
        ("TS", _without_timestamps), ("SACK", _without_sack), ("wscale", _without_wscale))}
    text = "; ".join(f"{option} not {what}" for option, what in wrong.items() if what)
    return Measured(text or "translated, learned", not text)


def _next_synack(stand: Stand, talk: Talk) -> Heard | None:
    """What the same server's next client is told, at another port."""
    at = talk.flow.addresses
    following = Talk(stand.raw, stand.raw.watch(replace(at, sport=at.sport + 10000)), None)
    following.say(SYN)
    return following.client_synack


def _without_timestamps(stand: Stand, family: int) -> Iterator[str]:
    """What is not done for a server without timestamps."""
    talk = Talk(stand.raw, stand.raw.open(family), replace(SYN_ACK, tsval=None)).shake_hands()
    to_server = talk.say(replace(ACK, flags="PA", payload_bytes=1, tsval=20))
    to_client = talk.say(Say("server", "PA", ack=2, payload_bytes=1))
    if not to_server or to_server[-1].tsval is not None:
        yield "stripped"
    if not to_client or to_client[-1].tsval is None:
        yield "supplied"
    synack = _next_synack(stand, talk)
    if synack is None or synack.tsval is not None:
        yield "learned"


def _without_sack(stand: Stand, family: int) -> Iterator[str]:
    """The client acknowledges what has come behind a gap."""
    talk = Talk(stand.raw, stand.raw.open(family),
                replace(SYN_ACK, sack_permitted=False)).shake_hands()
    talk.say(Say("server", "PA", seq=101, payload_bytes=100, tsval=20))
    heard = talk.say(replace(ACK, tsval=30, sack=((101, 201),)))
    if not heard or heard[-1].sack:
        yield "stripped"
    synack = _next_synack(stand, talk)
    if synack is None or synack.sack_permitted:
        yield "learned"


def _without_wscale(stand: Stand, family: int) -> Iterator[str]:
    talk = Talk(stand.raw, stand.raw.open(family), replace(SYN_ACK, wscale=None)).shake_hands()
    announced = talk.client_synack.wscale or 0 if talk.client_synack else 0
    to_client = talk.say(Say("server", window=8000, tsval=20))
    to_server = talk.say(replace(ACK, window=100, tsval=20))
    if not to_client or abs((to_client[-1].window << announced) - 8000) > 1 << announced:
        yield "translated to the client"
    if not to_server or to_server[-1].window != 100 << (SYN.wscale or 0):
        yield "translated to the server"
    synack = _next_synack(stand, talk)
    if synack is None or synack.wscale is not None:
        yield "learned"


def replayed_ack(stand: Stand, family: int) -> Measured:
    """G15.  The same valid ACK after the connection has gone: SYNs that the server gets of it."""
    talk, closed = stand.closed[family]
    until(lambda: time.monotonic() > closed + CONNTRACK_CLOSE_S + 1,
          seconds=CONNTRACK_CLOSE_S + 5, what="the kernel to forget a closed connection")
    heard = []
    for _ in range(REPLAYS):
        heard += talk.say(ACK, Say("server", "RA", seq=0, ack=1))
    opened = sum(each.flags == "S" and each.side == "server" for each in heard)
    return Measured(f"{opened} SYNs for {REPLAYS} replays", not opened)


def early_data(stand: Stand, family: int) -> Measured:
    """G17.  Data on the third ACK, which the client never sends again."""
    talk = Talk(stand.raw, stand.raw.open(family)).shake_hands(
        ack=replace(ACK, flags="PA", payload_bytes=EARLY_BYTES))
    got = sum(heard.payload_bytes for heard in talk.flow.to("server"))
    return Measured(f"{got} of {EARLY_BYTES} bytes", got == EARLY_BYTES)
