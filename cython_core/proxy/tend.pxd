"""Time: ends told of what made room, early data delivered, SYNs said whose turn has come, SYNs and
windows said again, servers given up, cookies switched off, idle connections forgotten.

A bounded step each turn.  Timeouts are the service's at the moment, so that a change reaches
old connections too; a connection whose service is gone keeps the defaults below.
"""

from libc.stdint cimport uint32_t

from cython_core.proxy.synproxy cimport Proxy

cdef enum:
    TEND_WAKES = 16             # half-open records handled in one step
    TEND_TICKS = 64             # wheel ticks passed in one step: 1 s
    TEND_SWEEP = 16             # table entries looked at in one step

# One step.  Frames to send are in the outbox.  Returns how much was due: of what had waited for
# its server, of deadlines, and of entries whose time was over.
cdef uint32_t proxy_tend(Proxy *proxy) noexcept nogil
