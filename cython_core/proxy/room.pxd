"""Who makes room for a new connection, where the table or the pool of half-open ones is full.

A hand goes round the table.  For each new connection it looks at the next ROOM_STEPS entries at
most: the first of them that has ended goes; else, of the foremost class there is, the one that has
been silent for longest.

    ended       both FINs have passed, or a RST; tombstones of any kind
    opening     its server has let our first SYN time out
    unused      its server has said nothing since its SYN-ACK, nor its client for UNUSED_TICKS
    idle        no segment in window for `timeouts.active` of its service

Whatever else is active, and stays: then the new connection finds no room.  In the pool the hand
does likewise with records: one that only waits to say a window again goes first, then the opening
one whose SYN was said most often.

Nobody outside can aim at an entry: a place is that of who has left last, where the hand stands is
told by nothing that is sent, and who has come in stands behind it, for a whole round.

Both ends of what was opening, unused or idle get a RST (proxy/parting): without its entry their
numbers can't be translated, so that silence would leave them to their timers, or with wrong numbers
at the other end.  What passes untranslated goes on as it was, and is told nothing.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow

cdef enum:
    ROOM_STEPS = 16             # entries, or records, looked at for one new connection
    UNUSED_TICKS = 2            # of the activity clock: 4 to 8 s


# From the first that goes to the one that never does.
cdef enum RoomClass:
    ROOM_ENDED
    ROOM_OPENING
    ROOM_UNUSED
    ROOM_IDLE
    ROOM_ACTIVE


# A fresh entry of a flow that has none, or NULL: there is no room.  What goes for it is of a class
# up to `last`: what needs no entry to pass is worth no more than a tombstone.
cdef Connection *room_enter(Proxy *proxy, const Flow *flow, uint64_t digest,
                            uint32_t last) noexcept nogil

# An unarmed record, likewise.
cdef HalfOpen *room_take(Proxy *proxy) noexcept nogil
