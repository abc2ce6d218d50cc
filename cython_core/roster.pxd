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


cdef class Roster:
    cdef Service *services      # of a slot two: the one that lives and the one that leaves
    cdef Routes *live
    cdef Routes *leaving
    cdef uint32_t slots
    cdef readonly uint32_t used          # slots up to the highest that has ever had a service
    cdef int workers
    cdef list order             # the specs as they were published last
    cdef dict wscales           # by slot: see wscale_announced
    cdef list rules             # of the live ones, as rules_sorted has them
    cdef readonly dict given_up     # by slot: the name and the rules of what leaves
    cdef readonly list opened       # slots whose service is another since the last snapshot

    # A snapshot of these services.  ValueError where they can't be, before anything changes.
    cdef Snapshot *snapshot(self, uint64_t generation, list services) except NULL

    # Forget what has left.
    cdef int forget(self, slots) except -1

    cdef int compile(self, spec) except -1
    cdef int route(self, changes) except -1
