"""What is still to be said to both ends of connections that made room (proxy/room).

Each end gets a RST, from the next step of the timers on, so that no burst answers one client with
what is another's.  Few wait at a time; who finds no place is not told, and counted
(`parting_lost`): its next segment tells it, or its own timers.
"""

from libc.stdint cimport uint32_t

from cython_core.proxy.handshake cimport Envelope
from cython_core.wire.segment cimport Flow

cdef enum:
    PARTINGS = 64               # a power of two; 80 bytes each
    PARTINGS_A_STEP = 16        # of two frames each: half of the outbox


cdef struct Parting:
    Flow flow
    Envelope envelope           # of frames from the client
    uint32_t client_seq         # of the RST that the client gets
    uint32_t server_seq
    uint32_t row                # the service's counters


# The oldest first.
cdef struct Partings:
    uint32_t begun              # of all times
    uint32_t told
    Parting parting[PARTINGS]


# A place to write, or NULL: all are taken.
cdef inline Parting *parting_add(Partings *partings) noexcept nogil:
    if partings.begun - partings.told == PARTINGS:
        return NULL
    partings.begun += 1
    return &partings.parting[(partings.begun - 1) % PARTINGS]

# The oldest, or NULL; it is there until the next one is added.
cdef inline Parting *parting_take(Partings *partings) noexcept nogil:
    if partings.begun == partings.told:
        return NULL
    partings.told += 1
    return &partings.parting[(partings.told - 1) % PARTINGS]
