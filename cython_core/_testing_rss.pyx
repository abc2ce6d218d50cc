"""Doors to who owns a flow, beside DPDK's own Toeplitz hash; not in the image."""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.dataplane cimport Dataplane
from cython_core.dpdk.connections cimport flow_set
from cython_core.dpdk.owners cimport RSS_KEY_WORD, Owners, owner_of, rss_hash
from cython_core.dpdk.rss cimport rss_own
from cython_core.dpdk.thash cimport rte_softrss
from cython_core.wire.byteorder cimport load32
from cython_core.wire.segment cimport Flow

KEY = RSS_KEY_WORD.to_bytes(2, "big") * 20


def hash_of(flow):
    """The low 16 bits of our hash; `flow` is of the client's 16 bytes and port, then the
    server's."""
    cdef Flow key
    flow_set(&key, flow)
    return rss_hash(&key)


def owner(flow, uint64_t digest, uint32_t workers, uint32_t buckets=0, uint16_t queues=1):
    """The index of the flow's owner; with buckets, where ports spread by their hash."""
    cdef Owners owners
    cdef Flow key
    owners.workers = workers
    rss_own(&owners, buckets, queues)
    flow_set(&key, flow)
    return owner_of(&owners, digest, &key)


def own_by_rss(Dataplane dataplane, uint32_t buckets, uint16_t queues):
    """As if its ports, which can't, spread frames by the hash.  Before it starts."""
    rss_own(&dataplane.workers().owners, buckets, queues)


def toeplitz(bytes key, bytes said):
    """DPDK's hash over what a NIC takes of a packet: both addresses, then both ports."""
    cdef uint32_t[9] words              # two IPv6 addresses, and ports
    cdef const uint8_t *taken = said
    cdef uint32_t count = len(said) // 4
    cdef uint32_t i
    for i in range(count):
        words[i] = load32(taken + 4 * i)
    return rte_softrss(words, count, key)
