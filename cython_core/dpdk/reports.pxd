"""What the workers' events tell: see proxy/events."""

from cython_core.dpdk.crew cimport Crew

# Whether the workers are to write events.
cdef void reports_switch(Crew *crew, bint on) noexcept

# (terms.Event of all workers, those of each in its order; how many events the workers have lost in
# all times).
cdef tuple reports_take(Crew *crew)

# By lcore and reason: how many the worker has passed over in all times, where there are any.
cdef dict reports_passed_over(Crew *crew)
