"""Receive-side scaling such that both directions of a flow come to one worker.

Each port is given a symmetric key once it runs, and asked what it has: some drivers have a key of
their own, whatever they are told.  Where both ports have ours, and a redirection table of ours,
owners are by the ports' hash (dpdk/owners).

The key is no secret and can't be: what makes it symmetric leaves 16 bits of it, and whoever keeps
the xor of address and port as it is needs none of them to send a flood to one queue.  With the keys
that drivers have of themselves, all of which are published, that is no harder.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcmp, memset

from cython_core.dpdk.owners cimport BUCKETS_MAX, RSS_KEY_WORD, Owners
from cython_core.dpdk.rte cimport (
    RTE_ETH_RETA_GROUP_SIZE, RTE_ETH_RSS_IP, RTE_ETH_RSS_NONFRAG_IPV4_TCP,
    RTE_ETH_RSS_NONFRAG_IPV6_TCP, RTE_ETH_RSS_TCP, rte_eth_dev_info, rte_eth_dev_info_get,
    rte_eth_dev_rss_hash_conf_get, rte_eth_dev_rss_hash_update, rte_eth_dev_rss_reta_update,
    rte_eth_rss_conf, rte_eth_rss_reta_entry64,
)

cdef enum:
    KEY_BYTES = 40              # where a driver doesn't say: rte_eth_rss_conf
    KEY_BYTES_MAX = 255         # that rte_eth_rss_conf can say
    GROUPS_MAX = 64             # no driver of DPDK 22.11 has more than 2048 entries


cdef bint rss_join(Owners *owners, ports) except -1:
    cdef uint32_t buckets = BUCKETS_MAX
    queues = {port.rx_queues for port in ports}
    if len(queues) > 1 or min(queues) < max(2, owners.workers):
        return False
    for port in ports:
        buckets = min(buckets, entries_of(port.port_id))
    if buckets == 0 or not all([table_set(port.port_id, buckets, port.rx_queues)
                                for port in ports]):
        return False
    rss_own(owners, buckets, min(queues))
    return True


# Of the redirection table, where the port hashes TCP by our key; else 0.
cdef uint32_t entries_of(uint16_t port_id) noexcept:
    cdef rte_eth_dev_info info
    rte_eth_dev_info_get(port_id, &info)
    if not key_set(port_id, info.hash_key_size or <uint8_t>KEY_BYTES,
                   info.flow_type_rss_offloads & (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP)):
        return 0
    if (info.reta_size & (info.reta_size - 1)
            or not RTE_ETH_RETA_GROUP_SIZE <= info.reta_size
            <= GROUPS_MAX * RTE_ETH_RETA_GROUP_SIZE):
        return 0
    return info.reta_size


cdef bint key_set(uint16_t port_id, uint8_t key_bytes, uint64_t hashes) noexcept:
    cdef uint64_t tcp = RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV6_TCP
    cdef uint8_t[KEY_BYTES_MAX] ours
    cdef uint8_t[KEY_BYTES_MAX] taken
    cdef rte_eth_rss_conf conf
    cdef uint32_t at
    memset(&conf, 0, sizeof(conf))      # DPDK 23.11 and later have more fields
    for at in range(key_bytes):
        ours[at] = <uint8_t>(<uint32_t>RSS_KEY_WORD >> (0 if at & 1 else 8))
    conf.rss_key = ours
    conf.rss_key_len = key_bytes
    conf.rss_hf = hashes
    if hashes & tcp != tcp or rte_eth_dev_rss_hash_update(port_id, &conf) != 0:
        return False
    memset(taken, 0, sizeof(taken))
    conf.rss_key = taken
    conf.rss_hf = 0
    return (rte_eth_dev_rss_hash_conf_get(port_id, &conf) == 0 and conf.rss_hf & tcp == tcp
            and memcmp(taken, ours, key_bytes) == 0)


cdef bint table_set(uint16_t port_id, uint32_t buckets, uint16_t queues) noexcept:
    cdef rte_eth_rss_reta_entry64[GROUPS_MAX] table
    cdef rte_eth_dev_info info
    cdef uint32_t i
    rte_eth_dev_info_get(port_id, &info)
    for i in range(info.reta_size):
        table[i // RTE_ETH_RETA_GROUP_SIZE].mask = ~<uint64_t>0
        table[i // RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE] = <uint16_t>(
            i % buckets % queues)
    return rte_eth_dev_rss_reta_update(port_id, table, info.reta_size) == 0


cdef void rss_own(Owners *owners, uint32_t buckets, uint16_t queues) noexcept:
    cdef uint32_t i
    for i in range(buckets):
        owners.bucket_owner[i] = <uint8_t>(i % queues % owners.workers)
    owners.buckets = buckets
