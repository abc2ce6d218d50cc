"""Timestamps for a client whose server has none.

We had announced timestamps in the server's name, and it turned out to have none: then its client
gets them from us, in every segment, as RFC 7323 §3.2 has it, and the server gets none.  Their
clock runs on from our SYN-ACK's TSval, 1 ms a tick (RFC 7323 §5.4).  A segment grows by
SUPPLY_BYTES, so the server is told an MSS that is less by that.

Only connections opened before their server was known, or known to have changed, need it, so the
pool is small; where it is empty, a connection goes on without timestamps.
"""

from libc.stdint cimport uint16_t, uint32_t

from cython_core.proxy.conntable cimport Connection
from cython_core.wire.segment cimport Segment

cdef enum:
    SUPPLIES_MAX = 4096         # of one worker
    SUPPLY_BYTES = 12           # the option, and two NOPs before it
    SUPPLY_NONE = 0xFFFFFFFF


cdef struct Supply:
    uint32_t tsval_base         # TSval - now_ms
    uint32_t ts_recent          # the client's TSval to echo: RFC 7323 §4.3
    uint16_t mss                # the client's; a longer segment goes without
    uint32_t next               # in the free chain


cdef struct SupplyPool:
    uint32_t capacity           # at most SUPPLIES_MAX
    uint32_t used
    uint32_t fresh
    uint32_t free_head
    Supply supplies[SUPPLIES_MAX]


cdef void supply_init(SupplyPool *pool, uint32_t capacity) noexcept nogil

# An index, or SUPPLY_NONE; it becomes the connection's ts_offset, with CONN_SUPPLIED.
cdef uint32_t supply_take(SupplyPool *pool, uint32_t tsval_base, uint32_t ts_recent,
                          uint16_t mss) noexcept nogil

# Where the connection has one.
cdef void supply_release(SupplyPool *pool, Connection *conn) noexcept nogil

# Strip a client's segment of its timestamps; note what to echo.
cdef void supply_to_server(SupplyPool *pool, Segment *segment,
                           const Connection *conn) noexcept nogil

# An error from the client's side about a segment that has grown here: its server must send less
# than the hop takes; where it can't (RFC 8200 §5), long segments go without timestamps.
cdef void supply_too_big(SupplyPool *pool, Segment *error, const Connection *conn) noexcept nogil

# Put timestamps into a server's segment, where its buffer has room for them.  Of four SACK blocks
# the last makes room: RFC 2018 §4 has the newest first.
cdef void supply_to_client(const SupplyPool *pool, Segment *segment, const Connection *conn,
                           uint32_t now_ms) noexcept nogil
