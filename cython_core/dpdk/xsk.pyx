"""What the kernel drops before an AF_XDP port: its own count, which DPDK's driver doesn't pass on.

A port's sockets are the driver's, which names none of them; those that are there once its queues
are set up, and weren't before, are its own.

Reading list: <linux/if_xdp.h>, Linux's Documentation/networking/af_xdp.rst (XDP_STATISTICS).
"""

import os

from libc.stdint cimport uint64_t

cdef extern from "<sys/socket.h>" nogil:
    enum: AF_XDP, SO_DOMAIN, SOL_SOCKET, SOL_XDP
    ctypedef unsigned int socklen_t
    int getsockopt(int fd, int level, int name, void *value, socklen_t *bytes)

cdef extern from "<linux/if_xdp.h>" nogil:
    enum: XDP_STATISTICS
    struct xdp_statistics:
        uint64_t rx_ring_full


def xsk_sockets():
    """The descriptors of all AF_XDP sockets of this process."""
    return frozenset(fd for fd in map(int, os.listdir("/proc/self/fd")) if is_xsk(fd))


# Of what is no socket, or no longer open, there is no such option.
cdef bint is_xsk(int fd) noexcept:
    cdef int domain = 0
    cdef socklen_t size = sizeof(domain)
    return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 and domain == AF_XDP


def xsk_ring_full(sockets):
    """Frames that found the receive rings of these sockets full, since they were opened."""
    cdef xdp_statistics counted
    cdef socklen_t size
    cdef uint64_t frames = 0
    for fd in sockets:
        size = sizeof(counted)
        counted.rx_ring_full = 0        # a kernel before 5.9 doesn't tell it
        if getsockopt(fd, SOL_XDP, XDP_STATISTICS, &counted, &size) == 0:
            frames += counted.rx_ring_full
    return frames
