"""Reading the workers while they run: see tally.pyx."""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.crew cimport Crew
from cython_core.proxy.service cimport Snapshot

# A WorkerStats of each worker, its counters summed over the first `rows` rows.
cdef list tally_workers(const Crew *crew, uint32_t rows)

# The counters of one row by name, summed over workers.
cdef dict tally_service(const Crew *crew, uint32_t row)

# A CookieSwitch of each worker, of one row.
cdef list tally_cookies(const Crew *crew, uint32_t row)

# A LearnedServer of each that is known, in no order; `snapshot` says whose they are.
cdef list tally_learned(const Crew *crew, const Snapshot *snapshot)

# Connections that a row's service had in the last whole sweeps of the tables.
cdef uint64_t tally_connections(const Crew *crew, uint32_t row)

# How many sweeps of its table each worker has begun.
cdef list tally_sweeps(const Crew *crew)

# Of each slot's service what has changed since `seen` (a terms.Seen) had it last, and what is new
# to it: (slot, counters by name, what each has grown by).
cdef list tally_changes(const Crew *crew, list slots, seen)
