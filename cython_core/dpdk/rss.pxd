"""Receive-side scaling such that both directions of a flow come to one worker: see rss.pyx."""

from libc.stdint cimport uint16_t, uint32_t

from cython_core.dpdk.owners cimport Owners

# Have owners be by the hash of the two ports, which run, if both take our key and our table.
cdef bint rss_join(Owners *owners, ports) except -1

# `buckets`, a power of two, are spread over queues, and those over the workers.
cdef void rss_own(Owners *owners, uint32_t buckets, uint16_t queues) noexcept
