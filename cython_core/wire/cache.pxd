"""The processor's cache: how long its lines are, and what begins to load one."""

cdef enum:
    CACHE_LINE_BYTES = 64       # where a processor's are longer, a multiple of it

cdef extern from *:
    void __builtin_prefetch(const void *) noexcept nogil

cdef extern from "<stdlib.h>":
    # Freed as what malloc gave; `size` is a multiple of `alignment`.
    void *aligned_alloc(size_t alignment, size_t size) noexcept nogil
