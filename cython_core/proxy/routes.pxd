"""From a server's address and port to its service: the longest prefix that names the port.

Lookup is by tuple space: one probe for each prefix length in use, longest first, then the port
ranges of that prefix; so its cost grows with the number of different prefix lengths and not with
that of services.  DPDK's lpm and fib libraries know no ports, and lie above this floor.

Immutable once built, and shared by the snapshots of one set of prefixes: what only changes options
takes no new one.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.cache cimport __builtin_prefetch

cdef enum:
    ROUTE_NONE = 0xFFFFFFFF
    ROUTES_FEW = 256
    MAPPED_BITS = 96            # of ::ffff:0:0/96, where IPv4 lies


# "This prefix, these ports, that service": how they are described to routes_build.
cdef struct Rule:
    uint8_t address[16]         # as in Flow; bits behind the prefix are zero
    uint8_t bits                # prefix length in the 128-bit form (IPv4 /24 is 120)
    uint16_t port_low           # inclusive
    uint16_t port_high
    uint32_t service            # index into the snapshot's services


cdef struct PortRange:
    uint16_t low
    uint16_t high
    uint32_t service


# Half a cache line; what most prefixes have, one range, stands in it.
cdef struct Prefix:
    uint64_t address[2]         # masked, as it lies in memory
    uint32_t range_count        # 0: the slot is empty
    uint32_t first              # of several ranges in `ranges`; of a single one the service
    uint16_t low                # of a single one
    uint16_t high
    uint8_t bits


cdef struct PrefixLength:
    uint64_t mask[2]            # as it lies in memory
    uint8_t bits


cdef struct Routes:
    uint32_t users              # of the control thread: snapshots that hold it
    uint32_t length_count       # prefix lengths in use, longest first
    uint32_t mapped_count       # of these, such as can hold an IPv4 address
    uint32_t prefix_mask        # slots of `prefixes` less one
    PrefixLength lengths[129]
    Prefix *prefixes            # open addressing, at most half full
    PortRange *ranges           # those of one prefix side by side


# `rules` sorted by (bits descending, address); every rule of one prefix side by side.  One user;
# NULL where memory is short.
cdef Routes *routes_build(const Rule *rules, uint32_t rule_count) noexcept nogil

# One user less; freed with the last.  NULL is as good.
cdef void routes_release(Routes *routes) noexcept nogil

# So many take no more than a worker's nearest cache has, and need no prefetch.
cdef inline bint routes_are_few(const Routes *routes) noexcept nogil:
    return routes.prefix_mask < ROUTES_FEW

# The slot where the search for a prefix begins.
cdef inline uint32_t routes_slot(const Routes *routes, uint64_t high, uint64_t low,
                                 uint8_t bits) noexcept nogil:
    # The keys are the operator's own, so a multiplicative hash needs no secret here.  A product's
    # low bits know nothing of a factor's high ones, where an address has its last bytes: twice.
    cdef uint64_t mixed = (high ^ (low >> 32 | low << 32) ^ bits) * <uint64_t>0x9E3779B97F4A7C15
    mixed = (mixed ^ mixed >> 32) * <uint64_t>0x9E3779B97F4A7C15
    return <uint32_t>(mixed >> 32) & routes.prefix_mask

# That of the longest prefix which an address may have; and begin to load it.
cdef inline uint32_t routes_first(const Routes *routes, const uint8_t *address) noexcept nogil:
    cdef const PrefixLength *length = &routes.lengths[0]
    return routes_slot(routes, load64_raw(address) & length.mask[0],
                       load64_raw(address + 8) & length.mask[1], length.bits)

cdef inline void routes_prefetch(const Routes *routes, uint32_t first) noexcept nogil:
    __builtin_prefetch(&routes.prefixes[first])

# Whether a slot has the longest prefix that an address may have, and its one range the port.  One
# that may be too short for IPv4 is not told of here.
cdef inline bint routes_leads(const Routes *routes, const Prefix *prefix, const uint8_t *address,
                              uint16_t port) noexcept nogil:
    cdef const PrefixLength *length = &routes.lengths[0]
    return (prefix.range_count == 1 and prefix.low <= port <= prefix.high
            and prefix.bits == length.bits and length.bits >= MAPPED_BITS
            and load64_raw(address) & length.mask[0] == prefix.address[0]
            and load64_raw(address + 8) & length.mask[1] == prefix.address[1])

# The index of the service of a server address and port, or ROUTE_NONE; `first` is routes_first's.
# In line for most addresses, whose longest possible prefix is in the first slot or the next.
cdef inline uint32_t routes_match(const Routes *routes, const uint8_t *address, uint16_t port,
                                  uint32_t first) noexcept nogil:
    cdef const Prefix *prefix = &routes.prefixes[first]
    if routes_leads(routes, prefix, address, port):
        return prefix.first
    prefix = &routes.prefixes[(first + 1) & routes.prefix_mask]
    if routes_leads(routes, prefix, address, port):
        return prefix.first
    return routes_search(routes, address, port, first)

cdef uint32_t routes_search(const Routes *routes, const uint8_t *address, uint16_t port,
                            uint32_t first) noexcept nogil

# True where any service has this address, whatever the port: fragments have none.
cdef bint routes_covers(const Routes *routes, const uint8_t *address) noexcept nogil
