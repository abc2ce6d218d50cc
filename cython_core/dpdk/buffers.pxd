from cython_core.dpdk.rte cimport rte_mempool

cdef rte_mempool *buffers_on(int socket) noexcept
