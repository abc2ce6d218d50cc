"""Pools of mbufs, one for each NUMA socket that has a port; DPDK's own register keeps them."""

from cython_core.dpdk.rte cimport (
    RTE_MBUF_DEFAULT_BUF_SIZE, rte_mempool, rte_mempool_free, rte_mempool_in_use_count,
    rte_mempool_lookup, rte_pktmbuf_pool_create,
)

from cython_core.dpdk.terms import DataplaneError, MempoolState, MempoolStats

cdef enum:
    CACHE_MBUFS_MAX = 256       # of each lcore: four bursts


def name_of(socket):
    return f"frames_{socket}"


cdef rte_mempool *buffers_on(int socket) noexcept:
    name = name_of(socket).encode()
    return rte_mempool_lookup(name)


def buffers_make(sockets, mbufs):
    for socket in sockets:
        name = name_of(socket).encode()
        # A cache may hold two thirds of a pool; an eighth leaves room for the queues.
        if rte_pktmbuf_pool_create(name, mbufs, min(CACHE_MBUFS_MAX, mbufs // 8), 0,
                                   RTE_MBUF_DEFAULT_BUF_SIZE, socket) == NULL:
            raise DataplaneError(
                f"no memory for {mbufs} frame buffers on NUMA socket {socket}:"
                " give more memory, or ask for fewer buffers")


def buffers_stats(sockets):
    stats = []
    cdef rte_mempool *pool
    for socket in sockets:
        pool = buffers_on(socket)
        stats.append(MempoolStats(name_of(socket), pool.size, rte_mempool_in_use_count(pool)))
    return stats


def buffers_states(sockets):
    states = []
    cdef rte_mempool *pool
    for socket in sockets:
        pool = buffers_on(socket)
        states.append(MempoolState(
            name=name_of(socket), numa_node=socket, size=pool.size,
            in_use=rte_mempool_in_use_count(pool), cache=pool.cache_size,
            buffer_bytes=pool.elt_size))
    return states


def buffers_free(sockets):
    for socket in sockets:
        rte_mempool_free(buffers_on(socket))
