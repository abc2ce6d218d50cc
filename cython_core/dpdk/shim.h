/* What Cython can't say of DPDK: macros, memory order, nested initialisers, layouts.
 * No policy, no state, no TCP word.
 */
#ifndef SYNPROXY_SHIM_H
#define SYNPROXY_SHIM_H

#include <stdint.h>
#include <string.h>

#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_pause.h>
#include <rte_prefetch.h>
#include <rte_ring.h>
#include <rte_spinlock.h>
#include <rte_version.h>

/* rte_errno is a macro over a thread-local; a function may be called. */
static inline int shim_errno(void)
{
	return rte_errno;
}

static inline uint8_t *shim_mbuf_data(const struct rte_mbuf *mbuf)
{
	return rte_pktmbuf_mtod(mbuf, uint8_t *);
}

static inline uint32_t shim_load_acquire32(const uint32_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void shim_store_release32(uint32_t *at, uint32_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline uint64_t shim_load_acquire64(const uint64_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void shim_store_release64(uint64_t *at, uint64_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline const void *shim_load_acquire_pointer(const void *const *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void shim_store_release_pointer(const void **at, const void *value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* rte_eal_wait_lcore orders all that a worker did before what follows its end; ThreadSanitizer (make
 * race) sees nothing of DPDK's libraries, and is told.
 */
#ifdef SYNPROXY_RACE
void __tsan_release(void *at);
void __tsan_acquire(void *at);
#else
#define __tsan_release(at)
#define __tsan_acquire(at)
#endif

/* Unnamed structs nest in rte_eth_conf.  `rss_hf` 0: all to the first receive queue. */
static inline void shim_eth_conf(struct rte_eth_conf *conf, uint64_t rss_hf, uint64_t tx_offloads)
{
	memset(conf, 0, sizeof(*conf));
	conf->rxmode.mq_mode = rss_hf ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
	conf->rx_adv_conf.rss_conf.rss_hf = rss_hf;
	conf->txmode.offloads = tx_offloads;
}

/* What the receive stage reads of an mbuf shares its first cache line.  Lines are of 64 bytes or, as
 * DPDK has them on arm64, of 128.
 */
_Static_assert(offsetof(struct rte_mbuf, buf_len) < RTE_CACHE_LINE_SIZE, "mbuf: buf_len");
_Static_assert(offsetof(struct rte_mbuf, data_len) < RTE_CACHE_LINE_SIZE, "mbuf: data_len");
_Static_assert(RTE_CACHE_LINE_SIZE % 64 == 0, "tables and counters are aligned to 64 bytes");

#endif
