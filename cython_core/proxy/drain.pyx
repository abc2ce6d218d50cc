from libc.stdint cimport uint32_t

from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.service cimport ACTIVATION_OFF, Service

# What people call the values of Drain, by number.
DRAINS = ("none", "bridge", "drop")

cdef enum:
    COOKIE_LIFE_MS = 2 * COOKIE_EPOCH_S * 1000


cdef void snapshot_drain(Snapshot *snapshot, uint8_t drain) noexcept nogil:
    cdef Service *service
    cdef uint32_t at
    if drain == DRAIN_NONE:
        return
    for at in range(snapshot.service_count):
        service = &snapshot.services[at]
        if service.leaving:
            continue
        if drain == DRAIN_DROP:
            service.refusing = True
            continue
        service.activation = ACTIVATION_OFF
        if service.grace_ms < COOKIE_LIFE_MS:
            service.grace_ms = COOKIE_LIFE_MS
