from cython_core.dpdk.rte cimport rte_ring_dequeue_burst, rte_ring_enqueue_burst
from cython_core.proxy.burst cimport BURST_FRAMES, Burst
from cython_core.proxy.counters cimport NO_BUFFER, RECEIVED, count


cdef void steer(Worker *worker, uint32_t side) noexcept nogil:
    cdef Burst *burst = &worker.burst
    cdef uint32_t kept = 0
    cdef uint32_t i, owner
    for i in range(burst.lanes):
        owner = owner_of(burst.digest[i], worker.count)
        if owner == worker.index or burst.lane[i].syn:
            if kept != i:
                burst.lane[kept] = burst.lane[i]
                burst.digest[kept] = burst.digest[i]
            kept += 1
        else:
            hand_over(worker, side, owner, burst.lane[i].at)
    burst.lanes = kept


cdef void hand_over(Worker *worker, uint32_t side, uint32_t owner, uint32_t at) noexcept nogil:
    cdef void *frame = worker.mbuf[at]
    if rte_ring_enqueue_burst(worker.peer[owner].inlet[side].inbox, &frame, 1, NULL) == 0:
        worker.burst.verdict[at] = NO_BUFFER
        count(worker.proxy.rows, 0, RECEIVED)
        count(worker.proxy.rows, 0, NO_BUFFER)


cdef void inbox_receive(Worker *worker, uint32_t side) noexcept nogil:
    worker.burst.count = rte_ring_dequeue_burst(
        worker.inlet[side].inbox, <void **>worker.mbuf, BURST_FRAMES, NULL)
