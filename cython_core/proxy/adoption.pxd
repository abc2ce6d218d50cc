"""What a former process has left in its file (proxy/shard_file) goes on in this one's shards.

Each entry is entered anew where its owner is now, whatever workers there were before: so none of
the former's buckets and chains is believed, tables may be of another size, and their hashes get
another key.  Its service is the one that has its address now.

    goes on     connections with their offsets, timestamps that are supplied, tombstones;
                handshakes, whose SYN is said again at once, or waits for its turn again, in any
                order, where it had none yet (proxy/pacing); what is learned of servers; which
                cookies are superseded
    does not    what waits for its client, who says it again: early data, windows to be told
                what a segment brings: how frames of a connection are addressed (proxy/links)
                what is short-lived: proxy/overtaken, samples, loads, what is spent of bounds
                ends of what had made room that weren't told yet (proxy/parting)
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.proxy.learned cimport Learned
from cython_core.proxy.service cimport Snapshot
from cython_core.proxy.shard_file cimport Shard, ShardFile
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow

# Which of the heirs has a flow.
ctypedef uint32_t (*OwnerOf)(const void *owners, uint64_t digest, const Flow *flow) noexcept nogil


# Who inherits: proxies that run not yet, whose tables have one key.
cdef struct Heirs:
    Proxy **proxy
    uint32_t count
    OwnerOf owner_of
    const void *owners
    const Snapshot *snapshot
    uint64_t now_ms             # on the workers' clock


# What has become of the entries.
cdef struct Adoption:
    uint64_t adopted
    uint64_t torn               # half written when the process ended
    uint64_t unserved           # no service has their server's address any more
    uint64_t without_room       # the tables, or the pool of handshakes, are smaller now
    uint64_t unsound            # of no state that there is, or entered twice


# The tally is added to.
cdef void adoption_file(const Heirs *heirs, const ShardFile *former,
                        Adoption *tally) noexcept nogil
