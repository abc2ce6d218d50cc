"""Memory for arrays that are met at random, on large pages where the kernel gives them.

With pages of 4 KiB a processor remembers where some thousand of them lie (its TLB), and looks up
each other one in a table of its own in memory.  Transparent large pages (Linux, transhuge.rst)
need no reservation; where there are none it is memory as any other.
"""

from cython_core.wire.cache cimport CACHE_LINE_BYTES, aligned_alloc

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void *, size_t, int)
    int MADV_HUGEPAGE

cdef enum:
    LARGE_PAGE_BYTES = 2 << 20          # x86-64's, and arm64's with 4 KiB granules


# On cache lines, not zeroed; freed by free().  NULL where memory is short.  What would fill half a
# large page gets whole ones.
cdef inline void *pages_take(size_t size) noexcept nogil:
    cdef size_t unit = CACHE_LINE_BYTES if size < LARGE_PAGE_BYTES // 2 else LARGE_PAGE_BYTES
    cdef size_t whole = (size + unit - 1) // unit * unit
    cdef void *block = aligned_alloc(unit, whole)
    if block != NULL and unit == LARGE_PAGE_BYTES:
        madvise(block, whole, MADV_HUGEPAGE)
    return block
