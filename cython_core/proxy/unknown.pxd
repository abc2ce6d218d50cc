"""Segments of connections that are not known: older than the proxy, or opened while it let pass.

Their offset is 0, so untouched is right.  Who they are can't be told from one client's segment,
and a flood of ACKs looks the same; so a client's are let through at a bounded rate while cookies
are on, until the server answers as one that holds the connection: with anything but SYN or RST.
Then the connection is in the table, and passes.

A service may have them dropped or reset instead; but not in the grace time after its cookies
went on, since a handshake that had passed may end now.

Nor is a client reset for a segment that may just have come before its handshake's ACK: see
proxy/overtaken.
"""

from libc.stdint cimport uint8_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.service cimport Service
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow, Segment

# A client's: ACK, FIN-ACK, RST or RST-ACK that proves no cookie.
cdef uint8_t unknown_client(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest) noexcept nogil

# A server's: any but SYN alone.
cdef uint8_t unknown_server(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest) noexcept nogil

# Enter, or turn its entry into, a connection that passes from this segment of its server's on.
# NULL where the table is full of what has not ended, or where the service leaves: what is new there
# needs no entry to pass, and must not keep the service.
cdef Connection *connection_adopt(Proxy *proxy, const Segment *segment, const Flow *flow,
                                  const Service *service, uint64_t digest,
                                  Connection *conn) noexcept nogil

# A segment of a connection that passes: untouched, whatever it says, but noted.  `fin_flag` is
# the sender's.
cdef uint8_t connection_pass(Proxy *proxy, const Segment *segment, Connection *conn,
                             uint8_t fin_flag, const Service *service) noexcept nogil
