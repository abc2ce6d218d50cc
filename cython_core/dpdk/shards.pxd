"""The file of the shards as the host has it: found, judged, mapped, replaced.

    path         what the last process has left, or what this one has put in its place
    path.new     this one's, until it has all that it takes over: a kill before leaves the former's
    path.lock    locked for as long as a process has either; in it are the last words of one that
                 its watchdog ended

It lies in memory (tmpfs or hugetlbfs), is a regular file with one name, the owner's alone (0600).
What isn't so is left as it is, and the shards lie in DPDK's memory, as they do without a file.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.clock cimport Clock
from cython_core.proxy.shard_file cimport ShardFile


cdef class Shards:
    cdef ShardFile *file            # where the workers' shards lie; NULL: in DPDK's memory
    cdef const ShardFile *former    # what there is to adopt, or NULL
    cdef uint64_t former_bytes
    cdef uint64_t file_bytes
    cdef Clock clock                # all workers'; with a former, it goes on as that one's
    cdef readonly str path          # "": there is to be none
    cdef readonly str cold          # why there is nothing to adopt, "" where there is
    cdef readonly str unkept        # why who comes after will have nothing, "" where it will
    cdef readonly str stall         # which worker's ended the process before, "" where none did
    cdef bint foreign               # what has the path is nobody's to replace
    cdef int lock

    cdef void clock_begin(self) noexcept
    cdef int lock_take(self) except -1
    cdef int former_open(self) except -1
    cdef int former_judge(self) except -1
    cdef int file_make(self, settings) except -1
    cdef void former_drop(self) noexcept

    # On the workers' clock.
    cdef uint64_t now_ns(self) noexcept

    # The former has been adopted, or never will be: the file takes its place.
    cdef int replace(self) except -1
