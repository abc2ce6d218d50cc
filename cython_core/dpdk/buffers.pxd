"""Pools of mbufs: see buffers.pyx."""

from cython_core.dpdk.rte cimport rte_mempool

# NULL where there is no pool on that NUMA socket.
cdef rte_mempool *buffers_on(int socket) noexcept
