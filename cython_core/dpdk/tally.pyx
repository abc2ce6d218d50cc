"""Reading the workers while they run.

Each number has one writer and is read as it stands; so sums over counters of one moment hold
only when traffic rests.
"""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cython_core.dpdk.worker cimport Worker
from cython_core.proxy.counters cimport COUNTERS_N

from cython_core.dpdk.terms import WorkerStats
from cython_core.proxy.counters import NAMES


cdef list tally_workers(const Crew *crew, uint32_t rows):
    return [worker_stats(crew.worker[index], rows) for index in range(crew.count)]


cdef dict tally_service(const Crew *crew, uint32_t row):
    cdef uint64_t[COUNTERS_N] sums
    cdef uint32_t index
    memset(sums, 0, sizeof(sums))
    for index in range(crew.count):
        add_rows(sums, crew.worker[index], row, 1)
    return named(sums)


cdef object worker_stats(const Worker *worker, uint32_t rows):
    cdef uint64_t[COUNTERS_N] sums
    memset(sums, 0, sizeof(sums))
    add_rows(sums, worker, 0, rows)
    return WorkerStats(
        lcore=worker.lcore_id,
        counters=named(sums),
        connections=worker.proxy.table.used,
        connections_max=worker.proxy.table.capacity,
        half_open=worker.proxy.half_open.awaiting,
        half_open_max=worker.proxy.half_open.capacity,
        generation=worker.progress.generation,
        # A part is read before its whole, which has grown in the meantime, if anything.
        busy_turns=worker.progress.busy_turns,
        turns=worker.progress.turns,
        busy_cycles=worker.progress.busy_cycles,
        cycles=worker.progress.now - worker.progress.began,
    )


cdef void add_rows(uint64_t *sums, const Worker *worker, uint32_t first,
                   uint32_t rows) noexcept nogil:
    cdef uint32_t row, counter
    for row in range(first, first + rows):
        for counter in range(COUNTERS_N):
            sums[counter] += worker.proxy.rows[row * COUNTERS_N + counter]


cdef dict named(const uint64_t *sums):
    return {name: sums[at] for at, name in enumerate(NAMES)}
