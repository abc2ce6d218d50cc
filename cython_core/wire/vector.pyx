from libc.stdint cimport uint32_t

from cython_core.wire.segment cimport segments_verify
from cython_core.wire.siphash cimport siphash_lanes
from cython_core.wire.widths cimport WIDTH_NARROWEST, WIDTHS, width_runs

NAMES = (WIDTH_NARROWEST.decode(), "x86-64-v3", "x86-64-v4")[:WIDTHS]
# Those that the processor and the kernel can run; each can run what is narrower.
VECTORS = tuple(name for width, name in enumerate(NAMES) if width_runs(width))


cdef Vector vector_pick(str name) except *:
    cdef Vector vector
    cdef uint32_t width = len(VECTORS) - 1 if name == "auto" else VECTORS.index(name)
    vector.width = width
    vector.hash_lanes = siphash_lanes(width)
    vector.verify = segments_verify(width)
    return vector
