"""What a flood's generator really gets back: SYN-ACKs counted, one in 1024 held against its SYN.

At the ingress of the client's interface nft counts the SYN-ACKs and drops them, so that they cost
little, but for those to one source address in 1024: these a packet socket gets, which stands
behind that hook.  SYNs that come back as they are it counts and drops, too.  Afterwards the flood's
frames are drawn again from its seed, and each answer kept must be that of a SYN among them: its two
ends swapped, its ACK the ISN plus one, both sums right.  None may be answered twice.
"""

import json
import socket
import struct
from collections import defaultdict
from contextlib import AbstractContextManager, suppress

from appliance.lab.flood import Score
from appliance.lab.namespace import LabError, Namespace
from appliance.lab.packet_socket import RECEIVE_BUFFER_BYTES, SO_RCVBUFFORCE, missed_frames
from appliance.lab.syn import templates
from appliance.lab.template import ETHERNET_BYTES, IPV4_BYTES, TCP, words_sum
from appliance.lab.topology import FLOOD_IPV4, FLOOD_MAC, SERVER_IPV4, Lab
from appliance.lab.volley import Volley
from appliance.lab.waiting import until

ETH_P_IP = 0x0800
PORT = 7001                 # one that every contestant protects
SYN_ACK = 0x12
SAMPLED = "0.0.3.255"       # bits of the source address that are zero in one of 1024
FRAME_BYTES_MAX = 2048
QUIET_S = 5
SOURCE, DESTINATION = ETHERNET_BYTES + 12, ETHERNET_BYTES + 16
SEGMENT = ETHERNET_BYTES + IPV4_BYTES

RULES = f"""
table netdev answers {{
    counter synacks {{ }}
    counter returned {{ }}
    chain ingress {{
        type filter hook ingress device eth0 priority 0
        tcp flags & (syn | ack) == syn counter name returned drop
        tcp flags & (syn | ack) != syn | ack accept
        counter name synacks
        ip daddr & {SAMPLED} == 0.0.0.0 accept
        drop
    }}
}}
"""


class Answers(AbstractContextManager["Answers"]):
    """Counting, for the length of a `with` statement."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab

    def __enter__(self) -> "Answers":
        self._lab.client.run(["nft", "-f", "-"], input=RULES)
        self._socket = self._lab.client.open_socket(socket.AF_PACKET, socket.SOCK_RAW)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
        self._socket.bind(("eth0", ETH_P_IP))
        self._socket.setblocking(False)
        return self

    def __exit__(self, *reason: object) -> None:
        self._socket.close()

    def packets(self) -> int:
        return nft_packets(self._lab.client, "netdev answers", "synacks")

    def verify(self, seed: int, score: Score, destination_mac: str) -> int:
        """How many answers were kept, and right; LabError where one is not."""
        if missed_frames(self._socket):
            raise LabError("the samples' socket was full")
        kept = [frame for frame in self._kept() if frame[SEGMENT + 13] == SYN_ACK]
        asked = drawn(seed, score.drawn, destination_mac)
        for frame in kept:
            isns = asked[frame[DESTINATION:DESTINATION + 4] + frame[SEGMENT + 2:SEGMENT + 4]]
            isn = int.from_bytes(frame[SEGMENT + 8:SEGMENT + 12]) - 1 & 0xFFFFFFFF
            if isn not in isns or not is_right(frame):
                raise LabError(f"no SYN was sent that this answers: {frame.hex()}")
            isns.discard(isn)
        return len(kept)

    def settle(self) -> None:
        """Once nothing more comes, what came is forgotten."""
        until(lambda: self.packets() == self.packets(), seconds=QUIET_S, what="the last answers")
        self._kept()

    def _kept(self) -> list[bytes]:
        frames = []
        with suppress(BlockingIOError):
            while True:
                frames.append(self._socket.recv(FRAME_BYTES_MAX))
        return frames


def nft_packets(where: Namespace, table: str, counter: str) -> int:
    """A named counter's packets."""
    shown = json.loads(where.run(["nft", "-j", "list", "counter", *table.split(), counter]).stdout)
    return int(next(each["counter"]["packets"] for each in shown["nftables"] if "counter" in each))


def drawn(seed: int, count: int, destination_mac: str) -> dict[bytes, set[int]]:
    """ISNs of the sampled among the flood's frames, by source address and port: one source may be
    drawn more than once."""
    volley = Volley(templates(SERVER_IPV4, PORT, FLOOD_IPV4, FLOOD_MAC, destination_mac), seed)
    asked: defaultdict[bytes, set[int]] = defaultdict(set)
    while count > 0:
        frames = volley.renew()
        count -= len(frames)
        for frame in frames:
            if not frame[SOURCE + 3] and not frame[SOURCE + 2] & 3:
                key = frame[SOURCE:SOURCE + 4] + frame[SEGMENT:SEGMENT + 2]
                asked[key].add(int.from_bytes(frame[SEGMENT + 4:SEGMENT + 8]))
    return asked


def is_right(frame: bytes) -> bool:
    """From the server's end, and both sums right (RFC 1071 §1)."""
    header, segment = frame[ETHERNET_BYTES:SEGMENT], frame[SEGMENT:]
    segment = segment[:int.from_bytes(header[2:4]) - IPV4_BYTES]
    pseudo = header[12:20] + struct.pack("!HH", TCP, len(segment))
    return (header[12:16] == socket.inet_aton(SERVER_IPV4)
            and segment[:2] == PORT.to_bytes(2)
            and words_sum(header) % 0xFFFF == 0 and words_sum(pseudo + segment) % 0xFFFF == 0)
