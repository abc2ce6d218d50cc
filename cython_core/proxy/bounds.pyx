from libc.stdint cimport uint64_t

from cython_core.proxy.counters cimport SERVICE_BOUND, SOURCE_BOUND
from cython_core.proxy.gate cimport GATE_SHUT, gate_spend
from cython_core.proxy.sources cimport source_digest, source_spend, source_spent
from cython_core.proxy.synproxy cimport VERDICT_NONE


cdef uint8_t bounds_take(Proxy *proxy, const Flow *flow, const Service *service) noexcept nogil:
    cdef uint64_t *opened_ns = &proxy.rows[service.row].gate.opened_ns
    cdef uint64_t of_source = 0
    cdef uint64_t of_service = 0
    cdef uint64_t digest = 0
    if service.source_rate != 0:
        digest = source_digest(flow, service, proxy.keys.number, &proxy.table_key)
        of_source = gate_spend(source_spent(proxy.sources, digest), service.source_rate,
                               service.source_burst, proxy.now_ns)
        if of_source == GATE_SHUT:
            return SOURCE_BOUND
    if service.open_rate != 0:
        of_service = gate_spend(opened_ns[0], service.open_rate, service.open_burst, proxy.now_ns)
        if of_service == GATE_SHUT:
            return SERVICE_BOUND
        opened_ns[0] = of_service
    if service.source_rate != 0:
        source_spend(proxy.sources, digest, of_source)
    return VERDICT_NONE
