"""A capture of all workers, begun, taken from and ended by the control thread: see capture.pxd."""

from cython_core.dpdk.crew cimport Crew

# Begin it.  False: the workers have not all ended the one before.
cdef bint recording_begin(Crew *crew, wanted) except? False

# What they have since the last call: [(time in ns, side, sent, drop reason or None, frame's bytes,
# captured)] of each worker in its order, and how many they have lost in all times.
cdef tuple recording_take(Crew *crew)

cdef void recording_end(Crew *crew) noexcept
