"""The services as the control plane names them, compiled into what the workers read.

    specs → rules → Routes
          → Service      → Snapshot

Kept between one snapshot and the next, so that a change costs what it changes: other options cost
one Service and a copy of the rest, another set of prefixes costs its Routes as well.

A service that is gone, or has given up a prefix, leaves: for the connections that it has it goes on
as a second Service of its slot, without cookies, which is forgotten once they have ended.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.proxy.routes cimport Routes
from cython_core.proxy.service cimport Service, Snapshot


# A Service for its place among those of the roster.
cdef struct Laid:
    Service service
    uint32_t at


# What a change comes to, whole, before anything of it counts; what isn't taken is freed with it.
cdef class Draft:
    cdef Snapshot *snapshot
    cdef Routes *live
    cdef Routes *leaving
    cdef Laid *services         # those that are others than before
    cdef uint32_t count         # of them
    cdef uint32_t used
    cdef list order
    cdef dict wscales
    cdef list rules
    cdef readonly dict given_up
    cdef readonly list opened       # slots whose service is another


cdef class Roster:
    cdef Service *services      # of a slot two: the one that lives and the one that leaves
    cdef Routes *live
    cdef Routes *leaving
    cdef uint32_t slots
    cdef readonly uint32_t used          # slots up to the highest that has ever had a service
    cdef int workers
    cdef list order             # the specs as they were published last
    cdef dict wscales           # by slot: see wscale_announced
    cdef list rules             # of the live ones, as rules_changed has them
    cdef readonly dict given_up     # by slot: the name and the rules of what leaves

    # A snapshot of these services, without those in the slots `gone`, which have left; `now_s` is
    # by the workers' clock, whose epochs cookies are of.  ValueError where they can't be,
    # MemoryError where there is no room; nothing changes before take().
    cdef Draft draft(self, uint64_t generation, list services, list gone, uint64_t now_s)

    # From now on it is as the draft has it.  The snapshot is the caller's.
    cdef Snapshot *take(self, Draft draft) noexcept

    cdef int check_places(self, changes) except -1
    cdef int route(self, Draft draft, changes, gone) except -1
    cdef int compile(self, Draft draft, changes, bint differ, gone, uint64_t now_s) except -1
