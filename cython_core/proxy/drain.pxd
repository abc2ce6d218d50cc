"""Draining: no new connection becomes the proxy's, and those that it has go on.

    bridge      SYNs pass to the server, as under ACTIVATION_OFF: nobody is turned away, and what
                opens now needs no proxy
    drop        SYNs are dropped by name (DRAINING): who takes over from us answers them

A handshake that has begun may end: cookies that were sent stay good as long as ever.
"""

from libc.stdint cimport uint8_t

from cython_core.proxy.service cimport Snapshot

cdef enum Drain:
    DRAIN_NONE
    DRAIN_BRIDGE
    DRAIN_DROP


# Make a snapshot that no worker has seen yet one that drains.
cdef void snapshot_drain(Snapshot *snapshot, uint8_t drain) noexcept nogil
