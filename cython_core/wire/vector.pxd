"""The vector variants: each function that has several, by width; one set is picked at start.

The set is the caller's, one for each worker: a stage calls through it once for a whole burst.
"""

from libc.stdint cimport uint32_t

from cython_core.wire.segment cimport SegmentsVerify
from cython_core.wire.siphash cimport SipHashLanes


cdef struct Vector:
    uint32_t width              # of wire/widths
    SipHashLanes hash_lanes
    SegmentsVerify verify


# One of vector.VECTORS, or "auto" for the widest of them.  Raises ValueError.
cdef Vector vector_pick(str name) except *
