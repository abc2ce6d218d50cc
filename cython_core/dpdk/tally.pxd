"""Reading the workers while they run: see tally.pyx."""

from libc.stdint cimport uint32_t

from cython_core.dpdk.crew cimport Crew

# A WorkerStats of each worker, its counters summed over the first `rows` rows.
cdef list tally_workers(const Crew *crew, uint32_t rows)

# The counters of one row by name, summed over workers.
cdef dict tally_service(const Crew *crew, uint32_t row)
