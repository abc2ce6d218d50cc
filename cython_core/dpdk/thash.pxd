"""DPDK's Toeplitz hash in software, which the tests hold dpdk/owners against."""

from libc.stdint cimport uint8_t, uint32_t

cdef extern from "rte_thash.h" nogil:
    # Over `count` words in host order; `key` has 4 bytes more than those.
    uint32_t rte_softrss(uint32_t *words, uint32_t count, const uint8_t *key)
