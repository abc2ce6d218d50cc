"""A capture file of distinct SYNs, as clients of today send them."""

import random
from collections.abc import Sequence
from pathlib import Path

from pcap_file import pcap_write
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

SYNS = 4096
SERVERS = {4: "10.0.0.2", 6: "fd00::2"}     # by family
SERVER = SERVERS[4]
PORT = 80


def syn_pcap_write(path: Path, seed: int = 1, servers: Sequence[str] = (SERVER,)) -> None:
    """Linux's options in Linux's order: 40 bytes of TCP, frames of 74 bytes; to any of the
    `servers`, one after the other."""
    choose = random.Random(seed)
    pcap_write(path, (
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
              / IP(src=f"10.{choose.randrange(1, 255)}.{choose.randrange(256)}"
                       f".{choose.randrange(256)}", dst=servers[at % len(servers)], flags="DF")
              / TCP(sport=choose.randrange(1024, 65536), dport=PORT, flags="S",
                    seq=choose.randrange(1 << 32), window=64240,
                    options=[("MSS", 1460), ("SAckOK", b""),
                             ("Timestamp", (choose.randrange(1 << 32), 0)),
                             ("NOP", None), ("WScale", 7)]))
        for at in range(SYNS)))
