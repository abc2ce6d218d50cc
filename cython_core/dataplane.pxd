from cython_core.dpdk.crew cimport Crew
from cython_core.dpdk.shards cimport Shards
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.service cimport Snapshot
from cython_core.roster cimport Roster


cdef class Dataplane:
    cdef Crew *crew
    cdef Snapshot *snapshot
    cdef Roster roster
    cdef Shards shards
    cdef Secrets secrets        # the workers have theirs from the snapshot
    cdef Secrets secrets_asked      # for the next one
    cdef dict __dict__

    cdef Crew *workers(self) except NULL
