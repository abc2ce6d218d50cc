"""The connections of all workers, looked at while they run: see connections.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.crew cimport Crew
from cython_core.proxy.service cimport Snapshot
from cython_core.wire.segment cimport Flow

# Up to `room` connections of a worker that `wanted` (a terms.ConnectionFilter) lets through, from
# the entry `at` on, of which at most `steps` are looked at: (terms.Connection in the order of the
# entries, where to go on or None).
cdef tuple connections_take(const Crew *crew, const Snapshot *snapshot, wanted, uint32_t worker,
                            uint32_t at, uint32_t steps, uint32_t room)

# `flow` here and below is (client, client port, server, server port), addresses of 16 bytes.
cdef int flow_set(Flow *key, flow) except -1

# Have the owner of a flow end its connection: (worker, number of the command), or None where too
# many are under way; `open` are those whose answer is still wanted.
cdef object connections_delete(Crew *crew, flow, set open)

# What came of it: (done, terms.Connection as it was or None).
cdef tuple connections_deleted(const Crew *crew, const Snapshot *snapshot, uint32_t worker,
                               uint64_t number)
