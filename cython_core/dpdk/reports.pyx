from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.rte cimport shim_load_acquire64
from cython_core.dpdk.worker cimport Worker
from cython_core.proxy.counters cimport COUNTERS_N
from cython_core.proxy.events cimport EVENTS, Event, events_read, events_switch
from cython_core.proxy.slots cimport row_slot

from cython_core.dpdk import terms
from cython_core.proxy.counters import NAMES


cdef void reports_switch(Crew *crew, bint on) noexcept:
    cdef uint32_t index
    for index in range(crew.count):
        events_switch(crew.worker[index].proxy.events, on)


cdef tuple reports_take(Crew *crew):
    cdef uint64_t lost = 0
    cdef uint32_t index, _event
    cdef Worker *worker
    cdef Event event
    reports = []
    for index in range(crew.count):
        worker = crew.worker[index]
        for _event in range(EVENTS):
            if not events_read(worker.proxy.events, &event):
                break
            reports.append(report(&event, worker.lcore_id))
        lost += shim_load_acquire64(&worker.proxy.events.lost)
    return reports, lost


cdef dict reports_passed_over(Crew *crew):
    cdef uint32_t index, reason
    cdef uint64_t count
    cdef Worker *worker
    passed_over = {}
    for index in range(crew.count):
        worker = crew.worker[index]
        for reason in range(COUNTERS_N):
            count = shim_load_acquire64(&worker.proxy.events.passed_over[reason])
            if count > 0:
                passed_over[worker.lcore_id, NAMES[reason]] = count
    return passed_over


cdef object report(const Event *event, uint32_t lcore_id):
    cdef bint flows = event.flow.server_port != 0
    return terms.Event(
        time_ns=event.time_ns,
        reason=NAMES[event.reason],
        slot=None if event.row == 0 else row_slot(event.row),
        lcore=lcore_id,
        client=terms.address_of(event.flow.client_address[:16]) if flows else None,
        client_port=event.flow.client_port,
        server=terms.address_of(event.flow.server_address[:16]) if flows else None,
        server_port=event.flow.server_port,
        from_client=bool(event.from_client),
        flags=event.flags,
        passed_over=event.passed_over,
    )
