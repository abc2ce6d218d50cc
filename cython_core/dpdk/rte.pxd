"""DPDK as Cython sees it: what this folder calls, its static inline functions among them.

Every declaration was read in the headers of DPDK 22.11; those named here are the same in 24.11.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdio cimport FILE


cdef extern from "shim.h" nogil:
    enum:
        RUNNING                 # an lcore: WAIT once its function has returned
        RTE_ETH_NAME_MAX_LEN
        RTE_ETH_LINK_AUTONEG
        RTE_ETH_LINK_FULL_DUPLEX
        RTE_ETH_SPEED_NUM_UNKNOWN
        RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE
        RTE_ETH_RSS_IP
        RTE_ETH_RSS_TCP
        RTE_ETH_RETA_GROUP_SIZE
        RTE_MBUF_DEFAULT_BUF_SIZE
        RTE_MAX_ETHPORTS
        RTE_RING_NAMESIZE
        RING_F_SC_DEQ
        SOCKET_ID_ANY

    const uint64_t RTE_ETH_RSS_NONFRAG_IPV4_TCP
    const uint64_t RTE_ETH_RSS_NONFRAG_IPV6_TCP

    struct rte_mbuf:
        uint16_t data_off
        uint16_t nb_segs
        uint16_t data_len
        uint16_t buf_len
        uint32_t pkt_len

    struct rte_mempool:
        char name[32]
        uint32_t size
        uint32_t cache_size
        uint32_t elt_size

    struct rte_ring:
        pass

    ctypedef struct rte_spinlock_t:
        pass

    struct rte_eth_conf:
        pass

    struct rte_eth_rss_conf:
        uint8_t *rss_key
        uint8_t rss_key_len
        uint64_t rss_hf

    struct rte_eth_rss_reta_entry64:
        uint64_t mask
        uint16_t reta[64]

    struct rte_eth_dev_info:
        uint32_t if_index
        const char *driver_name
        uint16_t max_rx_queues
        uint16_t max_tx_queues
        uint64_t rx_offload_capa
        uint64_t tx_offload_capa
        uint16_t reta_size
        uint8_t hash_key_size
        uint64_t flow_type_rss_offloads

    struct rte_eth_stats:
        uint64_t ipackets
        uint64_t opackets
        uint64_t ibytes
        uint64_t obytes
        uint64_t imissed
        uint64_t ierrors
        uint64_t oerrors
        uint64_t rx_nombuf

    struct rte_eth_link:
        uint32_t link_speed
        uint16_t link_duplex
        uint16_t link_autoneg
        uint16_t link_status

    struct rte_eth_xstat:
        uint64_t id
        uint64_t value

    struct rte_eth_xstat_name:
        char name[64]

    struct rte_ether_addr:
        uint8_t addr_bytes[6]

    # EAL
    const char *rte_version()
    int rte_eal_init(int argc, char **argv)
    int rte_eal_cleanup()
    const char *rte_eal_get_runtime_dir()
    int rte_openlog_stream(FILE *stream)
    void rte_log_set_global_level(uint32_t level)
    int rte_log_set_level_pattern(const char *pattern, uint32_t level)
    int rte_gettid()
    const char *rte_strerror(int errnum)
    int rte_eal_remote_launch(int (*function)(void *) noexcept nogil, void *argument,
                              unsigned int lcore_id)
    int rte_eal_wait_lcore(unsigned int lcore_id)
    int rte_eal_get_lcore_state(unsigned int lcore_id)
    unsigned int rte_lcore_to_socket_id(unsigned int lcore_id)
    uint64_t rte_get_tsc_hz()
    uint64_t rte_rdtsc()
    void rte_pause()
    void rte_prefetch0(const volatile void *)
    void *rte_zmalloc_socket(const char *type, size_t size, unsigned int align, int socket)
    void rte_free(void *)

    # Devices and their ports
    int rte_dev_probe(const char *devargs)
    int rte_eth_dev_get_port_by_name(const char *name, uint16_t *port_id)
    int rte_eth_dev_info_get(uint16_t port_id, rte_eth_dev_info *info)
    int rte_eth_dev_socket_id(uint16_t port_id)
    int rte_eth_dev_configure(uint16_t port_id, uint16_t rx_queues, uint16_t tx_queues,
                              const rte_eth_conf *conf)
    int rte_eth_dev_adjust_nb_rx_tx_desc(uint16_t port_id, uint16_t *rx, uint16_t *tx)
    int rte_eth_rx_queue_setup(uint16_t port_id, uint16_t queue_id, uint16_t descriptors,
                               unsigned int socket, const void *conf, rte_mempool *pool)
    int rte_eth_tx_queue_setup(uint16_t port_id, uint16_t queue_id, uint16_t descriptors,
                               unsigned int socket, const void *conf)
    int rte_eth_dev_rss_hash_conf_get(uint16_t port_id, rte_eth_rss_conf *conf)
    int rte_eth_dev_rss_hash_update(uint16_t port_id, rte_eth_rss_conf *conf)
    int rte_eth_dev_rss_reta_update(uint16_t port_id, rte_eth_rss_reta_entry64 *table,
                                    uint16_t entries)
    int rte_eth_promiscuous_enable(uint16_t port_id)
    int rte_eth_promiscuous_disable(uint16_t port_id)
    int rte_eth_dev_start(uint16_t port_id)
    int rte_eth_dev_stop(uint16_t port_id)
    int rte_eth_dev_close(uint16_t port_id)
    int rte_eth_stats_get(uint16_t port_id, rte_eth_stats *stats)
    int rte_eth_link_get_nowait(uint16_t port_id, rte_eth_link *link)
    const char *rte_eth_dev_rx_offload_name(uint64_t offload)
    const char *rte_eth_dev_tx_offload_name(uint64_t offload)
    int rte_eth_dev_get_mtu(uint16_t port_id, uint16_t *mtu)
    int rte_eth_promiscuous_get(uint16_t port_id)
    int rte_eth_xstats_get_names(uint16_t port_id, rte_eth_xstat_name *names, unsigned int size)
    int rte_eth_xstats_get(uint16_t port_id, rte_eth_xstat *xstats, unsigned int count)
    int rte_eth_macaddr_get(uint16_t port_id, rte_ether_addr *address)
    uint16_t rte_eth_rx_burst(uint16_t port_id, uint16_t queue_id, rte_mbuf **mbufs,
                              uint16_t count)
    uint16_t rte_eth_tx_burst(uint16_t port_id, uint16_t queue_id, rte_mbuf **mbufs,
                              uint16_t count)

    # What workers share
    void rte_spinlock_lock(rte_spinlock_t *lock)
    void rte_spinlock_unlock(rte_spinlock_t *lock)

    # Buffers and rings
    rte_mempool *rte_pktmbuf_pool_create(const char *name, unsigned int n, unsigned int cache,
                                         uint16_t private_bytes, uint16_t room_bytes, int socket)
    rte_mempool *rte_mempool_lookup(const char *name)
    void rte_mempool_free(rte_mempool *pool)
    unsigned int rte_mempool_in_use_count(const rte_mempool *pool)
    int rte_pktmbuf_alloc_bulk(rte_mempool *pool, rte_mbuf **mbufs, unsigned int count)
    void rte_pktmbuf_free_bulk(rte_mbuf **mbufs, unsigned int count)
    rte_ring *rte_ring_create(const char *name, unsigned int count, int socket,
                              unsigned int flags)
    void rte_ring_free(rte_ring *ring)
    unsigned int rte_ring_enqueue_burst(rte_ring *ring, void *const *objects, unsigned int count,
                                        unsigned int *free_space)
    unsigned int rte_ring_dequeue_burst(rte_ring *ring, void **objects, unsigned int count,
                                        unsigned int *available)

    # The shim's own
    int shim_errno()
    uint8_t *shim_mbuf_data(const rte_mbuf *mbuf)
    uint32_t shim_load_acquire32(const uint32_t *at)
    void shim_store_release32(uint32_t *at, uint32_t value)
    uint64_t shim_load_acquire64(const uint64_t *at)
    void shim_store_release64(uint64_t *at, uint64_t value)
    const void *shim_load_acquire_pointer(const void *const *at)
    void shim_store_release_pointer(const void **at, const void *value)
    void shim_ending "__tsan_release"(void *worker)
    void shim_ended "__tsan_acquire"(void *worker)
    void shim_eth_conf(rte_eth_conf *conf, uint64_t rss_hf, uint64_t tx_offloads)
