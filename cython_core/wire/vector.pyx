from libc.stdint cimport uint32_t

from cython_core.wire.segment cimport segments_verify
from cython_core.wire.siphash cimport siphash_lanes
from cython_core.wire.widths cimport WIDTH_NARROWEST, WIDTHS, width_runs

NAMES = (WIDTH_NARROWEST.decode(), "x86-64-v3", "x86-64-v4")[:WIDTHS]
# Those that the processor and the kernel can run; each can run what is narrower.
VECTORS = tuple(name for width, name in enumerate(NAMES) if width_runs(width))


def vector_cause(str name):
    """Why it can't be picked; None where it can."""
    if name not in ("auto", *VECTORS):
        return f"there are no vectors {name} here, but {', '.join(VECTORS)}; name one"
    return None


cdef Vector vector_pick(str name) except *:
    cdef Vector vector
    cdef uint32_t width
    cause = vector_cause(name)
    if cause is not None:
        raise ValueError(cause)
    width = len(VECTORS) - 1 if name == "auto" else VECTORS.index(name)
    vector.width = width
    vector.hash_lanes = siphash_lanes(width)
    vector.verify = segments_verify(width)
    return vector
