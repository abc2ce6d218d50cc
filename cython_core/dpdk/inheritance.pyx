"""Connections, handshakes and what is learned go on where their owners are now.

A service that answers with cookies by load alone (`activation: AUTO`) takes them at first as if it
had just answered some: the former may have, and nobody has told.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cython_core.dpdk.owners cimport Owners, owner_of
from cython_core.dpdk.worker cimport WORKERS_MAX
from cython_core.proxy.activation cimport answered_store
from cython_core.proxy.adoption cimport Adoption, Heirs, adoption_file
from cython_core.proxy.shard_file cimport shard_file_alive_ns
from cython_core.proxy.slots cimport slot_row
from cython_core.proxy.synproxy cimport NS_PER_MS, NS_PER_S, Proxy
from cython_core.wire.segment cimport Flow

from cython_core.dpdk.terms import Beginning


cdef object inheritance_take(Crew *crew, Shards shards, settings, const Snapshot *snapshot):
    cdef uint64_t now_ns = shards.now_ns()
    cdef uint64_t alive_ns = now_ns
    cdef bint warm = shards.former != NULL
    cdef Adoption tally
    cdef uint32_t index
    memset(&tally, 0, sizeof(tally))
    if warm:
        alive_ns = min(now_ns, shard_file_alive_ns(shards.former))
        adopt(crew, shards, snapshot, now_ns // NS_PER_MS, &tally)
        for index in range(slot_row(settings.services)):
            answered_store(&crew.answered_ms[index], now_ns // NS_PER_MS)
    for index in range(crew.count):
        crew.worker[index].proxy.table.alive_ns = now_ns
    shards.replace()
    return Beginning(
        warm=warm, cold=shards.cold, unkept=shards.unkept, adopted=tally.adopted, torn=tally.torn,
        unserved=tally.unserved, without_room=tally.without_room, unsound=tally.unsound,
        gap_s=<double>(now_ns - alive_ns) / NS_PER_S, stall=shards.stall)


cdef void adopt(Crew *crew, Shards shards, const Snapshot *snapshot, uint64_t now_ms,
                Adoption *tally) noexcept:
    cdef Proxy *proxy[WORKERS_MAX]
    cdef Heirs heirs
    cdef uint32_t index
    for index in range(crew.count):
        proxy[index] = &crew.worker[index].proxy
    heirs.proxy = proxy
    heirs.count = crew.count
    heirs.owner_of = owner_among
    heirs.owners = &crew.owners
    heirs.snapshot = snapshot
    heirs.now_ms = now_ms
    with nogil:
        adoption_file(&heirs, shards.former, tally)


cdef uint32_t owner_among(const void *owners, uint64_t digest, const Flow *flow) noexcept nogil:
    return owner_of(<const Owners *>owners, digest, flow)
