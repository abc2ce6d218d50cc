"""What the kernel drops before an AF_PACKET port: its own count, which DPDK's driver leaves out.

A port's sockets are the driver's, which names none of them; they are bound to the port's interface.

Reading list: packet(7) on PACKET_STATISTICS, <linux/if_packet.h>.
"""

import os

cdef extern from "<sys/socket.h>" nogil:
    enum: AF_PACKET
    ctypedef unsigned int socklen_t
    cdef struct sockaddr:
        pass
    int getsockname(int fd, sockaddr *address, socklen_t *bytes)
    int getsockopt(int fd, int level, int name, void *value, socklen_t *bytes)

cdef extern from "<linux/if_packet.h>" nogil:
    enum: PACKET_STATISTICS
    cdef struct sockaddr_ll:
        unsigned short sll_family
        int sll_ifindex
    cdef struct tpacket_stats:
        unsigned int tp_drops

cdef enum:
    SOL_PACKET = 263            # <bits/socket.h>, which <linux/if_packet.h> doesn't get along with


def packet_sockets(int interface):
    """The descriptors of this process's AF_PACKET sockets on the interface of that index."""
    return frozenset(fd for fd in map(int, os.listdir("/proc/self/fd")) if is_on(fd, interface))


# What is no socket, or no longer open, has no name.
cdef bint is_on(int fd, int interface) noexcept:
    cdef sockaddr_ll name
    cdef socklen_t size = sizeof(name)
    name.sll_family = 0
    return (getsockname(fd, <sockaddr *>&name, &size) == 0 and name.sll_family == AF_PACKET
            and name.sll_ifindex == interface)


def packets_dropped(sockets):
    """Frames that found the receive rings of these sockets full, since this was asked last: the
    kernel begins anew with each answer."""
    cdef tpacket_stats counted
    cdef socklen_t size
    frames = 0
    for fd in sockets:
        size = sizeof(counted)
        if getsockopt(fd, SOL_PACKET, PACKET_STATISTICS, &counted, &size) == 0:
            frames += counted.tp_drops
    return frames
