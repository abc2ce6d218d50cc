"""A capture file of distinct SYNs, as clients of today send them."""

import random
from collections.abc import Sequence
from pathlib import Path

from pcap_file import pcap_write
from scapy.layers.inet import IP, TCP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether

SYNS = 4096
SERVERS = {4: "10.0.0.2", 6: "fd00::2"}     # by family
SERVER = SERVERS[4]
PORT = 80


def syn_pcap_write(path: Path, seed: int = 1, servers: Sequence[str] = (SERVER,)) -> None:
    """Linux's options in Linux's order: 40 bytes of TCP, frames of 74 bytes or 94; to any of the
    `servers`, one after the other."""
    choose = random.Random(seed)
    pcap_write(path, (
        bytes(Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
              / header(choose, servers[at % len(servers)])
              / TCP(sport=choose.randrange(1024, 65536), dport=PORT, flags="S",
                    seq=choose.randrange(1 << 32), window=64240,
                    options=[("MSS", 1460), ("SAckOK", b""),
                             ("Timestamp", (choose.randrange(1 << 32), 0)),
                             ("NOP", None), ("WScale", 7)]))
        for at in range(SYNS)))


def header(choose: random.Random, server: str) -> IP | IPv6:
    """Of the server's family, from any client of 10.0.0.0/8 or of fd10::/104."""
    host = choose.randrange(1, 255), choose.randrange(256), choose.randrange(256)
    if ":" in server:
        return IPv6(src=f"fd10::{host[0]:x}:{host[1]:02x}{host[2]:02x}", dst=server)
    return IP(src=f"10.{host[0]}.{host[1]}.{host[2]}", dst=server, flags="DF")
