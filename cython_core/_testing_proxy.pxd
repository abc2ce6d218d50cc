from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.burst cimport Burst
from cython_core.proxy.early cimport EarlyPool
from cython_core.proxy.pacers cimport Pacers
from cython_core.proxy.service cimport Snapshot
from cython_core.proxy.shard_file cimport Shard, ShardFile
from cython_core.proxy.synproxy cimport Proxy


cdef class Box:
    cdef Proxy proxy
    cdef Burst *burst
    cdef uint8_t *buffers
    cdef uint8_t *spares
    cdef Snapshot *snapshot
    cdef EarlyPool *early
    cdef Pacers *pacers
    cdef Box beside             # what is shared is the first one's
    cdef bint first
    cdef object memory          # that the shards lie in, or None
    cdef ShardFile *file        # there, or NULL
    cdef readonly uint64_t due      # what the timers had to do, of all turns

    cdef Shard shard(self, uint32_t index, uint32_t connections, uint32_t half_open) except *
    cdef int fill(self, frames, bint from_client) except -1
    cdef list verdicts(self)
    cdef list sent(self)
    cdef list flush(self)
