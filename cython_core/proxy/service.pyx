from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cython_core.proxy.routes cimport routes_release
from cython_core.proxy.secrets cimport Secrets
from cython_core.wire.cache cimport CACHE_LINE_BYTES
from cython_core.wire.pages cimport pages_take

cdef extern from "<string.h>" nogil:
    void explicit_bzero(void *, size_t)

if sizeof(Service) != 2 * CACHE_LINE_BYTES:
    raise ImportError("a service takes two cache lines")

# What people call the values of Activation and UnknownFlow, by number.
ACTIVATIONS = ("always", "auto", "monitor", "off")
UNKNOWN_FLOWS = ("forward", "drop", "reset")


cdef Snapshot *snapshot_build(uint64_t generation, const Service *services, uint32_t service_count,
                              Routes *live, Routes *leaving) noexcept nogil:
    cdef Snapshot *snapshot = <Snapshot *>calloc(1, sizeof(Snapshot))
    if snapshot == NULL:
        return NULL
    snapshot.generation = generation
    snapshot.service_count = service_count
    snapshot.services = <Service *>pages_take((service_count + 1) * sizeof(Service))
    if snapshot.services == NULL:
        free(snapshot)
        return NULL
    memcpy(snapshot.services, services, service_count * sizeof(Service))
    live.users += 1
    snapshot.live = live
    if leaving != NULL:
        leaving.users += 1
        snapshot.leaving = leaving
    return snapshot


cdef void snapshot_free(Snapshot *snapshot) noexcept nogil:
    if snapshot == NULL:
        return
    routes_release(snapshot.live)
    routes_release(snapshot.leaving)
    explicit_bzero(&snapshot.secrets, sizeof(Secrets))
    free(snapshot.services)
    free(snapshot)
