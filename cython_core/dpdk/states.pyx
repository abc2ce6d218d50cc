"""What the workers are at: their threads, their cycles, their tables.

Each number has one writer and is read as it stands, a part before its whole, which has grown in
the meantime, if anything.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.rte cimport rte_lcore_to_socket_id
from cython_core.dpdk.worker cimport Progress, Worker
from cython_core.proxy.census cimport (
    CENSUS_OPEN, CENSUS_OPENING, CENSUS_PASSING, CENSUS_TIME_WAIT, CENSUS_TOMBSTONE, Census,
)
from cython_core.proxy.synproxy cimport NS_PER_S, Proxy

from cython_core.dpdk import terms
from cython_core.wire.vector import VECTORS


cdef list states_workers(const Crew *crew):
    return [worker_state(crew.worker[index]) for index in range(crew.count)]


cdef object states_watchdog(const Crew *crew):
    return terms.WatchdogState(
        looks=crew.watchdog.looks, control_stalls=crew.watchdog.control_stalls)


cdef uint64_t states_clock_s(const Crew *crew) noexcept:
    cdef uint64_t now_ns = 0
    cdef uint32_t index
    for index in range(crew.count):
        # One that hasn't had a turn yet has only the time of its start.
        now_ns = max(now_ns, crew.worker[index].proxy.now_ns, crew.worker[index].clock.base_ns)
    return now_ns // NS_PER_S


cdef object worker_state(const Worker *worker):
    cdef const Progress *progress = &worker.progress
    cdef uint64_t bursts = progress.bursts
    cdef uint64_t busy_turns = progress.busy_turns
    cdef uint64_t busy_cycles = progress.busy_cycles
    cdef uint64_t handed_in = progress.handed_in
    cdef uint64_t handed_out = progress.handed_out
    cdef uint64_t frames = progress.frames
    return terms.WorkerState(
        lcore=worker.lcore_id,
        thread_id=worker.thread_id,
        numa_node=rte_lcore_to_socket_id(worker.lcore_id),
        vector=VECTORS[worker.proxy.vector.width],
        generation=progress.generation,
        hz=worker.clock.hz,
        busy_cycles=busy_cycles,
        cycles=progress.now - progress.began,
        busy_turns=busy_turns,
        turns=progress.turns,
        bursts=bursts,
        frames=frames,
        handed_in=handed_in,
        handed_out=handed_out,
        sweep=worker.proxy.sweep,
        fill=table_fill(&worker.proxy),
    )


cdef object table_fill(const Proxy *proxy):
    cdef const Census *census = &proxy.census
    return terms.TableFill(
        connections=proxy.table.used,
        connections_max=proxy.table.capacity,
        half_open=proxy.half_open.awaiting,
        half_open_max=proxy.half_open.capacity,
        early_segments=proxy.half_open.early.used,
        early_segments_max=proxy.half_open.early.capacity,
        look=census.sweep,
        opening=census.counted[<int>CENSUS_OPENING],
        open=census.counted[<int>CENSUS_OPEN],
        passing=census.counted[<int>CENSUS_PASSING],
        time_wait=census.counted[<int>CENSUS_TIME_WAIT],
        tombstones=census.counted[<int>CENSUS_TOMBSTONE],
    )
