from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.dpdk.owners cimport owner_of
from cython_core.dpdk.rte cimport rte_ring_dequeue_burst, rte_ring_enqueue_burst
from cython_core.proxy.burst cimport BURST_FRAMES, Burst, frame_drop, lanes_take_out
from cython_core.proxy.counters cimport INBOX_FULL


cdef void steer(Worker *worker, uint32_t side) noexcept nogil:
    cdef Burst *burst = &worker.burst
    cdef uint8_t owner[BURST_FRAMES]
    cdef uint32_t row[BURST_FRAMES]     # of the frame's service
    cdef uint64_t away = 0              # frames, by bit
    cdef uint32_t i, at
    for i in range(burst.lanes):
        if burst.lane[i].syn:
            continue
        at = burst.lane[i].at
        owner[at] = <uint8_t>owner_of(worker.owners, burst.digest[i], &burst.lane[i].flow)
        row[at] = burst.lane[i].service.row
        away |= <uint64_t>(owner[at] != worker.index) << at
    if away:
        lanes_take_out(burst, away)
        hand_over(worker, side, away, owner, row)


# All that go to one owner go at once.
cdef void hand_over(Worker *worker, uint32_t side, uint64_t away,
                    const uint8_t *owner, const uint32_t *row) noexcept nogil:
    cdef void *frames[BURST_FRAMES]
    cdef uint32_t places[BURST_FRAMES]
    cdef uint32_t first = 0
    cdef uint32_t n, at
    while away:
        while not away >> first & 1:
            first += 1
        n = 0
        for at in range(first, worker.burst.count):
            if away >> at & 1 and owner[at] == owner[first]:
                frames[n] = worker.mbuf[at]
                places[n] = at
                away ^= <uint64_t>1 << at
                n += 1
        give(worker, worker.peer[owner[places[0]]], side, frames, places, n, row)


cdef void give(Worker *worker, Worker *owner, uint32_t side, void **frames,
               const uint32_t *places, uint32_t n, const uint32_t *row) noexcept nogil:
    cdef uint32_t taken = rte_ring_enqueue_burst(owner.inlet[side].inbox, frames, n, NULL)
    cdef uint32_t i
    worker.progress.handed_out += taken
    for i in range(taken, n):
        frame_drop(&worker.burst, &worker.proxy, places[i], row[places[i]], INBOX_FULL)


cdef void inbox_receive(Worker *worker, uint32_t side) noexcept nogil:
    worker.burst.handed = True
    worker.burst.count = rte_ring_dequeue_burst(
        worker.inlet[side].inbox, <void **>worker.mbuf, BURST_FRAMES, NULL)
    worker.progress.handed_in += worker.burst.count
