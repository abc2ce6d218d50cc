"""A network interface as the kernel's link messages show it.

Reading list: rtnetlink(7), linux/if_link.h.  Asked by netlink and not read from /sys, which shows
the interfaces of the network namespace that it was mounted in, not ours.
"""

import socket
import struct
import sys
from dataclasses import dataclass

RTM_NEWLINK = 16
RTM_GETLINK = 18
NLM_F_REQUEST = 1
IFLA_IFNAME = 3
IFLA_MASTER = 10
IFLA_XDP = 43
IFLA_XDP_PROG_ID = 4
ARPHRD_ETHER = 1         # linux/if_arp.h
IFF_UP = 1               # linux/if.h
IFF_LOWER_UP = 1 << 16
_TYPE_MASK = 0x3FFF    # NLA_TYPE_MASK: without the flags for nesting and byte order

_NLMSG = struct.Struct("=IHHII")       # length, type, flags, sequence, port
_IFINFO = struct.Struct("=BxHiII")     # family, type, index, flags, change mask
_ATTRIBUTE = struct.Struct("=HH")      # length, type
_ANSWER_BYTES = 65536


@dataclass(frozen=True)
class Link:
    index: int
    master: int         # the bridge or bond that it belongs to, by index; 0: none
    xdp_program: int    # id of the XDP program attached to it; 0: none
    ethernet: bool = True
    up: bool = True     # by its administrator
    carrier: bool = True


def link_read(name: str) -> Link | None:
    """None where there is no such interface in this network namespace."""
    label = name.encode() + b"\0"
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(label), IFLA_IFNAME) + label
    body = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0) + attribute
    header = _NLMSG.pack(_NLMSG.size + len(body), RTM_GETLINK, NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as netlink:
        netlink.bind((0, 0))
        netlink.send(header + body)
        answer = netlink.recv(_ANSWER_BYTES)
    length, kind, *_ = _NLMSG.unpack_from(answer)
    if kind != RTM_NEWLINK:
        return None
    _, hardware, index, flags, _ = _IFINFO.unpack_from(answer, _NLMSG.size)
    attributes = _attributes(answer[_NLMSG.size + _IFINFO.size : length])
    xdp = _attributes(attributes.get(IFLA_XDP, b""))
    return Link(
        index,
        master=_number(attributes.get(IFLA_MASTER)),
        xdp_program=_number(xdp.get(IFLA_XDP_PROG_ID)),
        ethernet=hardware == ARPHRD_ETHER,
        up=bool(flags & IFF_UP),
        carrier=bool(flags & IFF_LOWER_UP),
    )


def _attributes(data: bytes) -> dict[int, bytes]:
    """Type and payload of each attribute; each begins at a multiple of 4."""
    found = {}
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size:
            break
        found[kind & _TYPE_MASK] = data[at + _ATTRIBUTE.size : at + length]
        at += (length + 3) & ~3
    return found


def _number(payload: bytes | None) -> int:
    return int.from_bytes(payload[:4], sys.byteorder) if payload else 0
