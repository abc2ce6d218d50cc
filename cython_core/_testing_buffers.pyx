"""A door to the packet buffers: all of them taken, as if queues and workers had them; not in the
image."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free

from cython_core.dpdk.buffers cimport buffers_on
from cython_core.dpdk.rte cimport (
    rte_mbuf, rte_mempool, rte_pktmbuf_alloc_bulk, rte_pktmbuf_free_bulk,
)


cdef class Taken:
    """All that a NUMA socket's pool has free, until they are given back.  A worker that runs keeps
    those of its cache: so before it starts."""

    cdef rte_mbuf **mbuf
    cdef readonly uint32_t count

    def __cinit__(self, int socket):
        cdef rte_mempool *pool = buffers_on(socket)
        self.mbuf = <rte_mbuf **>calloc(pool.size, sizeof(rte_mbuf *))
        if self.mbuf == NULL:
            raise MemoryError
        while rte_pktmbuf_alloc_bulk(pool, self.mbuf + self.count, 1) == 0:
            self.count += 1

    def give_back(self):
        rte_pktmbuf_free_bulk(self.mbuf, self.count)
        self.count = 0

    def __dealloc__(self):
        free(self.mbuf)
