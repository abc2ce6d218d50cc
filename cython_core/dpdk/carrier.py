"""Whether a kernel's interface carries: what DPDK's AF_XDP and AF_PACKET drivers don't ask, which
say that theirs is up from their start on.

Reading list: netdevice(7) (SIOCGIFFLAGS, IFF_RUNNING: "resources allocated", which is the carrier).
"""

import errno
import fcntl
import socket
import struct

SIOCGIFFLAGS = 0x8913
IFF_RUNNING = 0x40
_IFREQ = struct.Struct("16sH22x")       # linux/if.h: struct ifreq, its name and flags


def link_up(device: str, said: bool) -> bool:
    """`said` is what the driver says."""
    interface = interface_of(device)
    return said and (not interface or carries(interface))


def interface_of(device: str) -> str:
    """Of a virtual device's arguments; "" where the kernel has none."""
    driver, *arguments = device.split(",")
    if not driver.startswith(("net_af_xdp", "net_af_packet")):
        return ""
    return next((one.partition("=")[2] for one in arguments if one.startswith("iface=")), "")


def carries(interface: str) -> bool:
    """True, too, where it can't be asked, for want of a descriptor."""
    request = _IFREQ.pack(interface.encode(), 0)
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
            _, flags = _IFREQ.unpack(fcntl.ioctl(asked, SIOCGIFFLAGS, request))
    except OSError as error:
        return error.errno != errno.ENODEV
    return bool(flags & IFF_RUNNING)
