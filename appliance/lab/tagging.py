"""Real TCP stacks behind VLAN tags, where the kernel has no VLAN devices.

A TAP device gives the namespace's stack a second interface; this relay carries its frames to
and from the veth and puts the tags on and off, as 802.1Q would.  One relay runs on each side:

    stack ── tap ── relay ══ eth0 ══ … proxy … ══ eth0 ══ relay ── tap ── stack

Reading list: IEEE 802.1Q-2022 §9.6, <linux/if_tun.h>.
"""

import argparse
import contextlib
import fcntl
import os
import select
import socket
import struct

from appliance.lab.namespace import Namespace, python_module
from appliance.lab.packet_socket import (
    ADDRESSES_BYTES,
    FRAME_BYTES_MAX,
    open_packet_socket,
    receive,
)
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

VLAN = 0x8100               # C-tag
QINQ = 0x88A8               # S-tag
Tag = tuple[int, int]       # EtherType and VLAN identifier, the outer tag first

TAP_MTU = 1492              # two tags fit beside it where the wire's MTU is 1500

TUNSETIFF = 0x400454CA      # <linux/if_tun.h>
IFF_TAP = 0x0002
IFF_NO_PI = 0x1000


def open_tap(name: str) -> int:
    tap = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return tap


def relay(tap: int, wire: socket.socket, tags: bytes) -> None:
    """Carry frames for ever; what does not bear exactly these tags is somebody else's.
    A frame that a side won't take (full, not up yet) is lost, as on a wire."""
    inner = ADDRESSES_BYTES + len(tags)
    while True:
        readable, _, _ = select.select([tap, wire.fileno()], [], [])
        if tap in readable:
            frame = os.read(tap, FRAME_BYTES_MAX)
            with contextlib.suppress(OSError):
                wire.send(frame[:ADDRESSES_BYTES] + tags + frame[ADDRESSES_BYTES:])
        if wire.fileno() in readable:
            frame = receive(wire)
            untagged = frame[inner:inner + 2] not in (b"\x81\x00", b"\x88\xa8")
            if frame[ADDRESSES_BYTES:inner] == tags and untagged:
                with contextlib.suppress(OSError):
                    os.write(tap, frame[:ADDRESSES_BYTES] + frame[inner:])


def lay_tagged_network(lab: Lab, tags: list[Tag], number: int) -> tuple[str, str]:
    """Join client and server through tags; returns the server's IPv4 and IPv6 addresses.
    `number` (72..99) keeps the networks of one lab apart."""
    for host, last in ((lab.client, 1), (lab.server, 2)):
        _start_relay(lab, host, tags, f"tag{number}")
        host.ip([
            f"link set tag{number} address 02:00:00:00:{number}:0{last} mtu {TAP_MTU}",
            f"address add 10.{number}.0.{last}/24 dev tag{number}",
            f"address add fd00:{number}::{last}/64 dev tag{number} nodad",
            f"link set tag{number} up",
        ])
    return f"10.{number}.0.2", f"fd00:{number}::2"


def _start_relay(lab: Lab, host: Namespace, tags: list[Tag], tap: str) -> None:
    words = [f"{ethertype:04x}{identifier:04x}" for ethertype, identifier in tags]
    lab.start(host, python_module("appliance.lab.tagging", "--tap", tap, *words))
    until(lambda: host.run(["ip", "link", "show", tap], check=False).returncode == 0,
          seconds=10, what=f"{tap} in {host.name}")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m appliance.lab.tagging",
                                     description="Relay a TAP device's frames through tags.")
    parser.add_argument("--tap", required=True, help="the device to make")
    parser.add_argument("--interface", default="eth0", help="where the tagged frames travel")
    parser.add_argument("tags", nargs="+", type=bytes.fromhex, help="as 81000064, outer first")
    given = parser.parse_args()
    wire = open_packet_socket(given.interface)
    relay(open_tap(given.tap), wire, b"".join(given.tags))


if __name__ == "__main__":
    main()
