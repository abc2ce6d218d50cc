"""What an interface does to frames before anyone sees them: SIOCETHTOOL, linux/ethtool.h."""

import array
import fcntl
import socket
import struct

SIOCETHTOOL = 0x8946                # linux/sockios.h
ETHTOOL_GFLAGS = 0x25
ETHTOOL_GGRO = 0x2B
ETH_FLAG_RXVLAN = 1 << 8
ETH_FLAG_LRO = 1 << 15
_VALUE = struct.Struct("=II")       # struct ethtool_value: command, data
_REQUEST = struct.Struct("=16sQ")   # struct ifreq: the interface's name, a pointer
NAME_BYTES_MAX = 15


def offloads_read(interface: str) -> set[str]:
    """Of "gro", "lro" and "rxvlan", as `ethtool -K` calls them, those that are on; none where the
    interface doesn't say."""
    flags = _asked(interface, ETHTOOL_GFLAGS)
    found = {name for name, bit in (("lro", ETH_FLAG_LRO), ("rxvlan", ETH_FLAG_RXVLAN))
             if flags & bit}
    return found | {"gro"} if _asked(interface, ETHTOOL_GGRO) else found


def _asked(interface: str, command: int) -> int:
    if len(interface.encode()) > NAME_BYTES_MAX:
        return 0
    value = array.array("B", _VALUE.pack(command, 0))
    request = _REQUEST.pack(interface.encode(), value.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            fcntl.ioctl(asking, SIOCETHTOOL, request)
        except OSError:
            return 0
    return int(_VALUE.unpack(value.tobytes())[1])
