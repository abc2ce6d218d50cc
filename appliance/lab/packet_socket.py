"""A packet socket whose frames are as they were on the wire.

The kernel lifts the outer VLAN tag out of a received frame before packet sockets see it and
hands it over as auxiliary data, so `receive` puts it back.  Frames that the socket's own host
sends are left out (PACKET_IGNORE_OUTGOING), so that what is relayed never comes back.

Reading list: packet(7), socket(7), <linux/if_packet.h>.
"""

import socket
import struct

SOL_PACKET = 263            # <linux/socket.h>
SO_RCVBUFFORCE = 33         # <asm-generic/socket.h>: beyond net.core.rmem_max, needs NET_ADMIN
PACKET_STATISTICS = 6       # <linux/if_packet.h>
PACKET_AUXDATA = 8
PACKET_IGNORE_OUTGOING = 23
TP_STATUS_VLAN_VALID = 1 << 4
AUXDATA = struct.Struct("IIIHHHH")      # struct tpacket_auxdata: status first, tci, tpid last
STATISTICS = struct.Struct("II")        # struct tpacket_stats: packets, drops
ETH_P_ALL = 3

RECEIVE_BUFFER_BYTES = 64 << 20
FRAME_BYTES_MAX = 2048      # the lab's MTU is 1500, and no offload puts frames together
ADDRESSES_BYTES = 12        # the MAC addresses, before any tag
ANCILLARY_BYTES = socket.CMSG_SPACE(AUXDATA.size)


def open_packet_socket(interface: str) -> socket.socket:
    packet = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    attach(packet, interface)
    return packet


def attach(packet: socket.socket, interface: str) -> None:
    """Receive every frame that arrives on `interface`, and send there.  veth has no address
    filter, so frames for others come without promiscuous mode."""
    packet.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
    packet.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    packet.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER_BYTES)
    packet.bind((interface, ETH_P_ALL))


def receive(packet: socket.socket) -> bytes:
    """The next frame, its outer tag back in place."""
    frame, ancillary, _, _ = packet.recvmsg(FRAME_BYTES_MAX, ANCILLARY_BYTES)
    for level, kind, data in ancillary:
        if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
            status, _, _, _, _, tci, tpid = AUXDATA.unpack(data)
            if status & TP_STATUS_VLAN_VALID:
                tag = struct.pack("!HH", tpid, tci)
                return frame[:ADDRESSES_BYTES] + tag + frame[ADDRESSES_BYTES:]
    return frame


def missed_frames(packet: socket.socket) -> int:
    """Frames that found the receive buffer full since this was last asked."""
    counted = packet.getsockopt(SOL_PACKET, PACKET_STATISTICS, STATISTICS.size)
    drops: int = STATISTICS.unpack(counted)[1]
    return drops
