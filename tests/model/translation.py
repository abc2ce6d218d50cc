"""What may differ between a segment that an end has sent and the one that the other end gets."""

from .endpoint import SACK_BLOCK_BYTES, SACK_HEAD_BYTES, WORDS, Endpoint, Refused, require
from .flows import Joined
from .frames import ACK, RST, Said

SCALE_MAX = 14
SUPPLY_BYTES = 12


def check_to_server(joined: Joined, original: Said, said: Said) -> None:
    client, server, shift = joined.attempt.client, joined.server, joined.seq_offset
    expected = original._replace(window=said.window, sack=said.sack)
    if original.flags & ACK:
        expected = expected._replace(ack=(original.ack - shift) % WORDS)
    if joined.supplied:
        expected = expected._replace(tsval=None, tsecr=None)
    elif joined.ts_offset is not None and original.tsval is not None and original.flags & ACK and (
            original.tsecr or not original.flags & RST):
        expected = expected._replace(tsecr=(original.tsecr + joined.ts_offset) % WORDS)
    check_same(expected, said)
    blocks = tuple(((a - shift) % WORDS, (b - shift) % WORDS) for a, b in original.sack)
    require(said.sack == (blocks if client.sack and server.sack else ()), "SACK", said)
    # Without timestamps a client's scale is kept rounded down: proxy/cookie.
    real = original.window << client.shift
    kept = real if client.timestamps else min(real, 1)
    check_window(real, said.window, server.other_shift, said, kept)


def check_to_client(joined: Joined, original: Said, said: Said) -> None:
    client, server, shift = joined.attempt.client, joined.server, joined.seq_offset
    expected = original._replace(
        seq=(original.seq + shift) % WORDS, window=said.window, sack=said.sack)
    if joined.supplied:
        check_supplied(joined, original, said)
        expected = expected._replace(tsval=said.tsval, tsecr=said.tsecr)
    elif joined.ts_offset is not None and original.tsval is not None:
        expected = expected._replace(tsval=(original.tsval - joined.ts_offset) % WORDS)
    check_same(expected, said)
    blocks = original.sack if client.sack and server.sack else ()
    require(said.sack in (blocks, blocks[:3]), "SACK", said)
    real = original.window << server.shift
    check_window(real, said.window, client.other_shift, said, real)


def check_same(expected: Said, said: Said) -> None:
    if said != expected:
        raise Refused(f"not {expected}, but {said}")


def check_supplied(joined: Joined, original: Said, said: Said) -> None:
    """A clock of ours, which never goes back (RFC 7323 §5.4); what has no room goes without."""
    if said.flags & RST:
        return
    if said.tsval is None:
        taken = len(original.payload)
        if original.sack:
            taken += SACK_HEAD_BYTES + SACK_BLOCK_BYTES * len(original.sack)
        room = joined.attempt.client.abilities.mss - SUPPLY_BYTES
        require(taken > room, "no timestamps are supplied", said)
        return
    passed = (said.tsval - joined.last_tsval) % WORDS
    require(passed < WORDS // 2, "a clock that goes back", said)
    joined.last_tsval = said.tsval


def check_window(real: int, window: int, scale: int, said: Said, kept: int) -> None:
    """Never wider than it is, nor narrower than what is kept of it by more than the scale rounds
    off, nor a false zero."""
    told = window << scale
    least = min(kept - (1 << scale) + 1, 0xFFFF << scale)
    require(told >= least and (told <= real or window == 1), "another window", said)
    require(bool(window) == bool(real), "a false window", said)


def check_offer(client: Endpoint, syn: Said) -> None:
    """What a server is asked for in its client's name."""
    offer = client.abilities
    require(syn.tsval is None or syn.tsval in client.tsvals, "TSval of nobody", syn)
    require(offer.sack or not syn.sack_permitted, "SACK of nobody", syn)
    if syn.wscale is not None:
        require(syn.wscale <= (-1 if offer.wscale is None else offer.wscale), "wscale", syn)
    require(syn.mss <= max(offer.mss, 536), "a longer MSS", syn)
    if client.timestamps:
        require(syn.mss in (offer.mss, offer.mss - SUPPLY_BYTES), "not the client's MSS", syn)
        require(syn.wscale == offer.wscale or not client.scaled, "wscale", syn)


def check_echo(frame: bytes, sent) -> None:
    """To a client never more than came from it, in frames and in bytes."""
    echoes = [len(out) for to_server, out in sent if not to_server]
    require(len(echoes) <= 1 and sum(echoes) <= len(frame), "echo", echoes)
