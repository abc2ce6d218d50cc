"""Protected services, compiled: the immutable snapshot that every worker reads.

The control plane builds a snapshot, publishes it by one store, and frees it once no worker
reads it.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.routes cimport (
    ROUTE_NONE, Routes, routes_covers, routes_first, routes_match,
)
from cython_core.proxy.secrets cimport Secrets

# When SYNs are answered with cookies: design/protocol §5.
cdef enum Activation:
    ACTIVATION_ALWAYS
    ACTIVATION_AUTO             # while a mark of load is passed
    ACTIVATION_MONITOR          # never, but AUTO's decisions are taken and counted
    ACTIVATION_OFF


# What becomes of segments whose connection is not known.
cdef enum UnknownFlow:
    UNKNOWN_FORWARD
    UNKNOWN_DROP
    UNKNOWN_RESET_IT


# Two cache lines: the second is asked for new connections alone.
cdef struct Service:
    uint32_t row                # of its counters: its place and 1; 0: there is no such service
    uint32_t tag                # stable over restarts and boxes; an input of its cookies
    uint16_t mss                # bytes announced over IPv4
    uint16_t mss_ipv6           # bytes announced over IPv6
    uint8_t wscale              # shift.cnt announced, or WSCALE_ABSENT
    uint8_t wscale_former       # announced before the last change: its cookies still count
    uint8_t wscale_older        # announced before the former one, likewise
    uint8_t wscale_former_epochs    # in how many the former one was announced, 255 at most
    uint32_t wscale_former_until    # the last epoch (proxy/cookie) in which it was announced
    uint8_t sack                # 1: yes, as are the others without a word
    uint8_t timestamps
    uint8_t ecn
    uint8_t mss_auto            # what is learned of a server goes before the value
    uint8_t mss_ipv6_auto
    uint8_t wscale_auto
    uint8_t syn_retries         # SYNs to a silent server after the first
    uint8_t early_data          # the SYN-ACK opens a window, what comes early waits
    uint32_t syn_timeout_ms     # before the first retry; doubles with each
    uint16_t established_ticks  # idle timeouts, in ticks of conntable's activity clock
    uint16_t half_closed_ticks
    uint16_t time_wait_ticks
    uint16_t closed_ticks
    uint8_t activation          # an Activation
    uint8_t leaving             # it is no more, but for the connections it has; which time that is
    uint8_t refusing            # clients' SYNs are dropped (proxy/drain)
    uint8_t unknown_flow        # an UnknownFlow
    uint32_t unknown_rate       # client segments of unknown connections let through, each second
    uint32_t syn_rate_mark      # SYNs a second, of one worker, from which cookies are on
    uint32_t half_open_mark     # passed handshakes without an end, of one worker, likewise
    uint32_t hold_ms            # how long the load is below half of each before they go off
    uint32_t grace_ms           # how long after a switch both kinds of handshake are taken
    # Here the second line begins: how many new connections are taken, of one worker (proxy/bounds).
    uint32_t open_rate          # each second; 0: as many as come
    uint32_t open_burst         # at once
    uint32_t source_rate        # of clients in one prefix, likewise
    uint32_t source_burst
    uint8_t source_bits         # of that prefix, as in a Flow: IPv4's behind ::ffff:0:0/96
    uint8_t source_bits_ipv6
    uint16_t active_ticks       # without a segment it may make room, in activity's ticks
    uint32_t pacing_rate        # first SYNs to each server, each second; 0: as they come
    uint32_t pacing_burst       # at once
    uint32_t pacing_wait_ms     # how long one waits for its turn at most (proxy/pacing)
    uint8_t spare[32]


# The scale that a SYN-ACK without timestamps announces in that epoch.
cdef inline uint8_t service_wscale(const Service *service, uint32_t epoch) noexcept nogil:
    if epoch > service.wscale_former_until:
        return service.wscale
    if service.wscale_former_until - epoch < service.wscale_former_epochs:
        return service.wscale_former
    return service.wscale_older


cdef struct Snapshot:
    uint64_t generation
    uint32_t service_count
    Service *services           # on cache lines
    Routes *live
    # Of services that are no more, or have given up a prefix, while connections of theirs go on;
    # asked where `live` has none.  NULL: there are none.
    Routes *leaving
    Secrets secrets             # set by whoever publishes it


# Copies the services, and becomes one more user of the routes; `leaving` may be NULL.  NULL where
# memory is short.
cdef Snapshot *snapshot_build(uint64_t generation, const Service *services, uint32_t service_count,
                              Routes *live, Routes *leaving) noexcept nogil
cdef void snapshot_free(Snapshot *snapshot) noexcept nogil

# The service of a server address and port, or NULL; `first` is routes_first's of the live routes.
# In line, for every frame asks.
cdef inline const Service *snapshot_match_from(const Snapshot *snapshot, const uint8_t *address,
                                               uint16_t port, uint32_t first) noexcept nogil:
    cdef uint32_t index = routes_match(snapshot.live, address, port, first)
    if index == ROUTE_NONE and snapshot.leaving != NULL:
        index = routes_match(snapshot.leaving, address, port,
                             routes_first(snapshot.leaving, address))
    return NULL if index == ROUTE_NONE else &snapshot.services[index]

cdef inline const Service *snapshot_match(const Snapshot *snapshot, const uint8_t *address,
                                          uint16_t port) noexcept nogil:
    return snapshot_match_from(snapshot, address, port, routes_first(snapshot.live, address))

# Its row, without a look at it: rows stand in the order of the services.
cdef inline size_t snapshot_row(const Snapshot *snapshot, const Service *service) noexcept nogil:
    return service - snapshot.services + 1

# True where any service has this address, whatever the port: fragments have none.
cdef inline bint snapshot_covers(const Snapshot *snapshot, const uint8_t *address) noexcept nogil:
    return routes_covers(snapshot.live, address) or (
        snapshot.leaving != NULL and routes_covers(snapshot.leaving, address))
