"""What the workers take over of a former process, before they run: see inheritance.pyx."""

from cython_core.dpdk.crew cimport Crew
from cython_core.dpdk.shards cimport Shards
from cython_core.proxy.service cimport Snapshot

# Once owners are known.  A Beginning; the former's file is gone then, and its place taken.
cdef object inheritance_take(Crew *crew, Shards shards, settings, const Snapshot *snapshot)
