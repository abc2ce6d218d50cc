"""A flood of spoofed SYNs, or datagrams, for the lab: `python -m appliance.lab.flood --help`.

As fast as one core allows, or at a rate; bounded by a count and a time, both mandatory.  The
sources are drawn from a benchmarking prefix unless another is given.  What was sent is
printed as one JSON object when it ends, also where SIGINT or SIGTERM ends it early.
"""

import argparse
import dataclasses
import ipaddress
import json
import secrets
import signal
import socket
import time

from appliance.lab import datagram, syn
from appliance.lab.topology import FLOOD_IPV4, FLOOD_IPV6, FLOOD_MAC
from appliance.lab.volley import Volley

PACKET_QDISC_BYPASS = 20    # <linux/if_packet.h>: straight to the driver, no queueing
SOL_PACKET = 263            # <linux/socket.h>
SO_SNDBUFFORCE = 32         # <asm-generic/socket.h>: beyond net.core.wmem_max, needs NET_ADMIN
SEND_BUFFER_BYTES = 8 << 20
SLICE_NS = 50_000_000       # between two looks at signals
NS_PER_S = 1_000_000_000


@dataclasses.dataclass
class Score:
    """What a flood did: frames sent, frames that the interface would not take, frames drawn from
    the seed for that, and the rate."""

    sent: int
    refused: int
    drawn: int
    seconds: float
    pps: int


def open_socket(interface: str) -> socket.socket:
    """A packet socket that sends on `interface` and receives nothing (protocol 0)."""
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    packet.bind((interface, 0))
    packet.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
    packet.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES)
    return packet


def flood(volley: Volley, packet: socket.socket, *, count: int, seconds: float,
          pps: int, rest: float = 0) -> Score:
    """Fire until count, time or a signal ends it, but for the share `rest` of the time; returns
    what happened."""
    stopped = []
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, lambda number, _frame: stopped.append(number))
    started = now = time.monotonic_ns()
    deadline = started + int(seconds * NS_PER_S)
    while volley.sent < count and now < deadline and not stopped:
        volley.fire(packet.fileno(), count, pps, min(now + SLICE_NS, deadline), rest)
        now = time.monotonic_ns()
    passed_s = (now - started) / NS_PER_S
    return Score(volley.sent, volley.refused, volley.drawn, round(passed_s, 3),
                 round(volley.sent / passed_s) if passed_s else 0)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.flood",
                                     description="Send spoofed frames, in a lab.")
    parser.add_argument("--interface", required=True, help="where the frames leave")
    parser.add_argument("--destination", required=True, help="IPv4 or IPv6 address")
    parser.add_argument("--dport", type=int, default=80, help="port (default 80)")
    parser.add_argument("--udp", action="store_true", help="as many UDP datagrams between them")
    parser.add_argument("--dst-mac", required=True, help="the destination's MAC address")
    parser.add_argument("--src-mac", default=FLOOD_MAC, help=f"default {FLOOD_MAC}")
    parser.add_argument("--sources", help=f"prefix; default {FLOOD_IPV4} or {FLOOD_IPV6}")
    parser.add_argument("--pps", type=int, default=0, help="rate; default as fast as it goes")
    parser.add_argument("--count", type=int, required=True, help="frames at most")
    parser.add_argument("--seconds", type=float, required=True, help="time at most")
    parser.add_argument("--seed", type=int, help="repeat a former flood's frames")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    version = ipaddress.ip_address(given.destination).version
    sources = given.sources or (FLOOD_IPV4 if version == 4 else FLOOD_IPV6)
    seed = secrets.randbits(64) if given.seed is None else given.seed
    ends = given.destination, given.dport, sources, given.src_mac, given.dst_mac
    frames = syn.templates(*ends)
    if given.udp:
        frames += [datagram.datagram_template(*ends)] * len(frames)
    volley = Volley(frames, seed)
    with open_socket(given.interface) as packet:
        score = flood(volley, packet, count=given.count, seconds=given.seconds, pps=given.pps)
    print(json.dumps(dataclasses.asdict(score)))


if __name__ == "__main__":
    main()
