"""Translation of an established connection's segments, in place.

    our ISN   = server's ISN   + seq_offset        server → client: SEQ += seq_offset
                                                   client → server: ACK, SACK edges -= seq_offset
    our TSval = server's TSval - ts_offset         server → client: TSval -= ts_offset
                                                   client → server: TSecr += ts_offset

The client's own numbers pass unchanged, for its ISN is used toward the server.  Windows are
rescaled where an end takes the other's scale for another one (RFC 7323 §2.2), never to a
false zero.  Checksums are mended incrementally (RFC 1624 eqn 3), so that a segment that came
corrupt stays corrupt.
"""

from cython_core.proxy.conntable cimport Connection
from cython_core.wire.segment cimport Segment

cdef void seqadj_to_client(Segment *segment, const Connection *conn) noexcept nogil
cdef void seqadj_to_server(Segment *segment, const Connection *conn) noexcept nogil
