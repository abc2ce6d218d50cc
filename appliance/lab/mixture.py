"""An attack of every kind at once: `python -m appliance.lab.mixture --help`.

Spoofed, of both families, tagged and untagged; each kind of frames has one fate at a proxy whose
service drops what it doesn't know (`unknown_flow: DROP`), so that what was sent can be held against
what was counted.  Ports, numbers and, but for a few kinds, sources are drawn anew in each frame.
Bounded by a time; what was sent is printed as one JSON object, by kind.

Reading list: RFC 9293 §3.1, RFC 9768 §3 (AE), RFC 792, RFC 4443 §3.2, RFC 8200 §4.5,
IEEE 802.1Q-2022 §9.6.
"""

import argparse
import dataclasses
import json
import random
import secrets
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from appliance.lab.flood import flood, open_socket
from appliance.lab.peers import Peer
from appliance.lab.program import within
from appliance.lab.syn import ALL, PORT_MASK, TCP_CHECKSUM, header, stacks, syn
from appliance.lab.template import (
    FRAGMENT_HEADER,
    ICMP,
    ICMPV6,
    TCP,
    Body,
    Ends,
    Template,
    ends_of,
    template,
)
from appliance.lab.topology import (
    FLOOD_IPV4,
    FLOOD_IPV6,
    FLOOD_MAC,
    SERVER_IPV4,
    SERVER_IPV6,
    SERVER_MAC,
)
from appliance.lab.volley import Volley

SLOTS = 64                  # of a volley
COUNT_MAX = 1 << 62         # a time alone is its bound
VLAN_TAG = bytes.fromhex("8100 0007")
QINQ_TAGS = bytes.fromhex("88a8 0007 8100 0009")
FIN, RST, ACK = 0x01, 0x04, 0x10
SYN = 0x02
# Flags that say nothing of a segment's kind: PSH, URG, ECE, CWR, AE; and the word that has them.
FREE, FLAGS_AT = 0x01E8, 12
PORT_DRAWN = (0, PORT_MASK)
NUMBERS_DRAWN = ((4, ALL), (6, ALL), (8, ALL), (10, ALL))       # SEQ, ACK
MORE_FRAGMENTS, LATER_FRAGMENT = 0x2000, 0x0005
# Options that claim more than the header has.
TORN_OPTIONS = bytes.fromhex("020a05b4")
# A kind's frames that AF_PACKET's kernel keeps to itself: it waits for the rest of the datagram.
IPV4_FRAGMENT = "fragment, IPv4"


@dataclass(frozen=True)
class Kind:
    """So many of a volley's frames.  `fate` is the counter that each of them meets."""

    name: str
    fate: str
    templates: Sequence[Template]
    slots: int


def mixture(dport: int, without: Sequence[str] = ()) -> list[Kind]:
    """But for those kinds; their room is the SYNs'."""
    ipv4 = ends_of(SERVER_IPV4, FLOOD_IPV4, FLOOD_MAC, SERVER_MAC)
    ipv6 = ends_of(SERVER_IPV6, FLOOD_IPV6, FLOOD_MAC, SERVER_MAC)
    kinds = [kind for kind in [
        *_syns(ipv4, ipv6, dport), *_unknown(ipv4, ipv6, dport), *_odd(ipv4, ipv6, dport),
        *_fragments(ipv4, ipv6), *_errors(ipv4, ipv6, dport),
    ] if kind.name not in without]
    rest = SLOTS - sum(kind.slots for kind in kinds)
    return [dataclasses.replace(kinds[0], slots=kinds[0].slots + rest), *kinds[1:]]


def _tagged(ends: Ends, tags: bytes) -> Ends:
    return dataclasses.replace(ends, tags=tags)


def _syns(ipv4: Ends, ipv6: Ends, dport: int) -> list[Kind]:
    answered = "synack_sent"
    return [
        Kind("SYN, IPv4", answered, stacks(ipv4, dport), 12),
        Kind("SYN, IPv6", answered, stacks(ipv6, dport), 6),
        Kind("SYN, IPv4, VLAN", answered, stacks(_tagged(ipv4, VLAN_TAG), dport), 3),
        Kind("SYN, IPv6, QinQ", answered, stacks(_tagged(ipv6, QINQ_TAGS), dport), 1),
    ]


def _segment(dport: int, flags: int, drawn_flags: int = FREE, payload: bytes = b"") -> Body:
    drawn = [PORT_DRAWN, *NUMBERS_DRAWN, (FLAGS_AT, drawn_flags)]
    return Body(TCP, header(dport, flags) + payload, drawn, TCP_CHECKSUM)


def _unknown(ipv4: Ends, ipv6: Ends, dport: int) -> list[Kind]:
    """Segments of no connection, which prove no cookie."""
    bare = _segment(dport, ACK, drawn_flags=0)
    flagged = _segment(dport, ACK, payload=b"GET ")
    reset = _segment(dport, RST, drawn_flags=FREE | ACK)
    end = _segment(dport, FIN | ACK)
    return [
        Kind("ACK, IPv4", "cookie_invalid", [template(ipv4, bare)], 6),
        Kind("ACK, IPv6", "cookie_invalid", [template(ipv6, bare)], 3),
        Kind("ACK, IPv4, VLAN", "cookie_invalid",
             [template(_tagged(ipv4, VLAN_TAG), bare)], 1),
        Kind("ACK and any other flags, IPv4", "cookie_invalid", [template(ipv4, flagged)], 4),
        Kind("ACK and any other flags, IPv6", "cookie_invalid", [template(ipv6, flagged)], 2),
        Kind("RST, IPv4", "no_connection", [template(ipv4, reset)], 2),
        Kind("RST, IPv6", "no_connection", [template(ipv6, reset)], 1),
        Kind("FIN, IPv4", "no_connection", [template(ipv4, end)], 2),
        Kind("FIN, IPv6", "no_connection", [template(ipv6, end)], 1),
    ]


def _odd(ipv4: Ends, ipv6: Ends, dport: int) -> list[Kind]:
    """What no host sends."""
    ack, first = _segment(dport, ACK, drawn_flags=0), syn(dport, b"", 0)
    torn = Body(TCP, header(dport, SYN, TORN_OPTIONS), [PORT_DRAWN], TCP_CHECKSUM)
    loopback = ends_of(SERVER_IPV4, "127.0.0.0/8", FLOOD_MAC, SERVER_MAC)
    itself = ends_of(SERVER_IPV4, f"{SERVER_IPV4}/32", FLOOD_MAC, SERVER_MAC)
    return [
        Kind("no flag of a handshake, IPv4", "flags_invalid",
             [template(ipv4, _segment(dport, 0))], 1),
        Kind("SYN with FIN and any other, IPv4", "flags_invalid",
             [template(ipv4, _segment(dport, SYN | FIN, FREE | RST | ACK))], 1),
        Kind("SYN with FIN and any other, IPv6", "flags_invalid",
             [template(ipv6, _segment(dport, SYN | FIN, FREE | RST | ACK))], 1),
        Kind("SYN with ACK, IPv4", "flags_invalid",
             [template(ipv4, _segment(dport, SYN | ACK))], 1),
        Kind("SYN with RST, IPv6", "flags_invalid",
             [template(ipv6, _segment(dport, SYN | RST, FREE | ACK))], 1),
        Kind("TCP's checksum wrong, IPv4", "tcp_checksum",
             [template(ipv4, body, sum_off_by=1) for body in (first, ack)], 2),
        Kind("TCP's checksum wrong, IPv6", "tcp_checksum", [template(ipv6, ack, sum_off_by=1)], 1),
        Kind("IP's checksum wrong", "ip_checksum", [template(ipv4, first, ip_sum_off_by=1)], 1),
        Kind("to port 0", "port_zero", [template(ipv6, syn(0, b"", 0))], 1),
        Kind("options torn", "tcp_options", [template(ipv4, torn)], 1),
        Kind("from 127/8", "martian", [template(loopback, first)], 1),
        Kind("from the server's own address", "land", [template(itself, first)], 1),
    ]


def _fragments(ipv4: Ends, ipv6: Ends) -> list[Kind]:
    """Of TCP, first ones and later ones."""
    piece = Body(TCP, bytes(24), [(0, ALL), (4, ALL)])
    first, later = (
        Body(FRAGMENT_HEADER, struct.pack("!BBHI", TCP, 0, word, 0) + bytes(24), [(4, ALL)])
        for word in (1, 5 << 3))        # RFC 8200 §4.5: more follow; 40 bytes went before
    return [
        Kind(IPV4_FRAGMENT, "fragment",
             [template(ipv4, piece, fragment=word) for word in (MORE_FRAGMENTS, LATER_FRAGMENT)],
             2),
        Kind("fragment, IPv6", "fragment", [template(ipv6, body) for body in (first, later)], 2),
    ]


def _errors(ipv4: Ends, ipv6: Ends, dport: int) -> list[Kind]:
    """ICMP errors about segments of no connection: the server's own kernel judges them."""
    tcp = struct.pack("!HHII", dport, 0xC000, 0, 0) + bytes(8)
    # Who complains has got the segment that is quoted.
    from4, from6 = (ends_of(to, source, FLOOD_MAC, SERVER_MAC) for to, source in (
        (SERVER_IPV4, f"{ipv4.sources[1]}/32"), (SERVER_IPV6, f"{ipv6.sources[1]}/128")))
    quote4, quote6 = (template(
        Ends(type(ends.sources)((ends.destination, ends.sources.max_prefixlen)),
             ends.sources.network_address.packed, ends.macs), Body(TCP, tcp)).frame[14:]
        for ends in (from4, from6))

    def error(protocol: int, kind: int, code: int, quote: bytes) -> Body:
        port = 8 + len(quote) - len(tcp) + 2
        drawn = [(port, PORT_MASK), (port + 2, ALL), (port + 4, ALL)]
        return Body(protocol, struct.pack("!BBHI", kind, code, 0, 1280) + quote, drawn, 2)

    return [
        Kind("unreachable, IPv4", "bridged",
             [template(from4, error(ICMP, 3, code, quote4)) for code in (3, 4)], 2),
        Kind("too big, IPv6", "bridged", [template(from6, error(ICMPV6, 2, 0, quote6))], 1),
    ]


def shuffled(kinds: Sequence[Kind]) -> list[tuple[Kind, Template]]:
    """A volley.  In no order, so that a part of it has each kind at about its share."""
    volley = [(kind, kind.templates[at % len(kind.templates)])
              for kind in kinds for at in range(kind.slots)]
    random.Random(SLOTS).shuffle(volley)
    return volley


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.mixture",
                                     description="Attack the lab's server in every way at once.")
    parser.add_argument("--interface", default="eth0", help="default %(default)s")
    parser.add_argument("--dport", type=int, default=int(Peer.SUPPLIES),
                        help="TCP port; default %(default)s")
    parser.add_argument("--without", nargs="*", default=[], metavar="KIND",
                        help="kinds to leave out")
    parser.add_argument("--pps", type=within(0, 100_000_000), default=0,
                        help="rate; default as fast as it goes")
    parser.add_argument("--seconds", type=within(0.1, 86_400.0), required=True, help="at most")
    parser.add_argument("--rest", type=within(0.0, 0.9), default=0.0,
                        help="the share of its core that it leaves to others; default none")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    volley = shuffled(mixture(given.dport, given.without))
    shots = Volley([each for _, each in volley], secrets.randbits(64))
    with open_socket(given.interface) as packet:
        score = flood(shots, packet, count=COUNT_MAX, seconds=given.seconds, pps=given.pps,
                      rest=given.rest)
    by_kind: Counter[str] = Counter()
    for (kind, _), sent in zip(volley, shots.sent_by_slot(), strict=True):
        by_kind[kind.name] += sent
    print(json.dumps(dataclasses.asdict(score) | {"by_kind": by_kind}))


if __name__ == "__main__":
    main()
