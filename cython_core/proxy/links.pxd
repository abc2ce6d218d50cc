"""How frames of each connection are addressed below IP, so that a segment can be sent unasked.

Addresses of a link are few, since clients stand behind routers; so each connection has an index
into a small set of them.  Where there is no room for one more, its connections have none, and what
is to be said unasked waits for a segment.
"""

from libc.stdint cimport uint16_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection, ConnTable, conntable_index
from cython_core.proxy.handshake cimport Envelope

cdef enum:
    LINKS = 1024
    LINK_PROBES = 8
    LINK_NONE = 0               # in `Links.of`


# Behind the struct lies an index for each entry of the connection table: a place, plus 1.
cdef struct Links:
    Envelope envelope[LINKS]    # of frames from the client; l2_bytes 0: a free place


cdef inline uint64_t links_bytes(uint32_t connections) noexcept nogil:
    return sizeof(Links) + <uint64_t>connections * sizeof(uint16_t)

cdef inline uint16_t *links_of(Links *links) noexcept nogil:
    return <uint16_t *>(links + 1)

# Remember how frames from the client of `conn` are addressed.
cdef void links_note(Links *links, const ConnTable *table, const Connection *conn,
                     const Envelope *envelope) noexcept nogil

# The same, or NULL: not known.
cdef inline const Envelope *links_find(Links *links, const ConnTable *table,
                                       const Connection *conn) noexcept nogil:
    cdef uint16_t place = links_of(links)[conntable_index(table, conn)]
    return NULL if place == LINK_NONE else &links.envelope[place - 1]
