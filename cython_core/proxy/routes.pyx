from libc.stdlib cimport calloc, free
from libc.string cimport memset

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.ip cimport ip_is_mapped
from cython_core.wire.pages cimport pages_take


cdef Routes *routes_build(const Rule *rules, uint32_t rule_count) noexcept nogil:
    cdef uint32_t slots = 2
    cdef uint32_t i
    cdef Routes *routes = <Routes *>calloc(1, sizeof(Routes))
    if routes == NULL:
        return NULL
    while slots < 2 * rule_count:
        slots *= 2
    routes.users = 1
    routes.prefix_mask = slots - 1
    routes.ranges = <PortRange *>calloc(rule_count + 1, sizeof(PortRange))
    routes.prefixes = <Prefix *>pages_take(slots * sizeof(Prefix))
    if routes.ranges == NULL or routes.prefixes == NULL:
        routes_release(routes)
        return NULL
    memset(routes.prefixes, 0, slots * sizeof(Prefix))
    for i in range(rule_count):
        rule_add(routes, &rules[i], i)
    return routes


cdef void routes_release(Routes *routes) noexcept nogil:
    if routes == NULL:
        return
    routes.users -= 1
    if routes.users == 0:
        free(routes.ranges)
        free(routes.prefixes)
        free(routes)


cdef void rule_add(Routes *routes, const Rule *rule, uint32_t at) noexcept nogil:
    cdef PrefixLength *length
    cdef Prefix *prefix
    cdef uint32_t bit
    if routes.length_count == 0 or routes.lengths[routes.length_count - 1].bits != rule.bits:
        length = &routes.lengths[routes.length_count]
        length.bits = rule.bits
        memset(length.mask, 0, 16)
        for bit in range(rule.bits):
            (<uint8_t *>length.mask)[bit >> 3] |= <uint8_t>(0x80 >> (bit & 7))
        routes.length_count += 1
        routes.mapped_count += rule.bits >= MAPPED_BITS
    prefix = prefix_slot(routes, load64_raw(rule.address), load64_raw(rule.address + 8),
                         rule.bits)
    if prefix.range_count == 0:
        prefix.address[0] = load64_raw(rule.address)
        prefix.address[1] = load64_raw(rule.address + 8)
        prefix.bits = rule.bits
        prefix.first = rule.service
        prefix.low = rule.port_low
        prefix.high = rule.port_high
    else:
        prefix.first = at - prefix.range_count
    prefix.range_count += 1
    routes.ranges[at].low = rule.port_low
    routes.ranges[at].high = rule.port_high
    routes.ranges[at].service = rule.service


# The slot of a prefix, or the empty slot where it would stand; the search begins at `at`.
cdef inline Prefix *prefix_search(const Routes *routes, uint64_t high, uint64_t low, uint8_t bits,
                                  uint32_t at) noexcept nogil:
    cdef Prefix *prefix
    while True:
        prefix = &routes.prefixes[at]
        if prefix.range_count == 0:
            return prefix
        if prefix.address[0] == high and prefix.address[1] == low and prefix.bits == bits:
            return prefix
        at = (at + 1) & routes.prefix_mask


cdef inline Prefix *prefix_slot(const Routes *routes, uint64_t high, uint64_t low,
                                uint8_t bits) noexcept nogil:
    return prefix_search(routes, high, low, bits, routes_slot(routes, high, low, bits))


# How many of the lengths can hold that address: an IPv6 prefix so short that ::ffff:0:0/96 lies
# in it, as ::/0, is none of IPv4's.
cdef inline uint32_t lengths_of(const Routes *routes, const uint8_t *address) noexcept nogil:
    return routes.mapped_count if ip_is_mapped(address) else routes.length_count


cdef uint32_t routes_search(const Routes *routes, const uint8_t *address, uint16_t port,
                            uint32_t first) noexcept nogil:
    cdef uint64_t high = load64_raw(address)
    cdef uint64_t low = load64_raw(address + 8)
    cdef uint32_t at = first
    cdef uint32_t i, service
    cdef const PrefixLength *length
    for i in range(lengths_of(routes, address)):
        length = &routes.lengths[i]
        if i > 0:
            at = routes_slot(routes, high & length.mask[0], low & length.mask[1], length.bits)
        service = prefix_match(routes, prefix_search(
            routes, high & length.mask[0], low & length.mask[1], length.bits, at), port)
        if service != ROUTE_NONE:
            return service
    return ROUTE_NONE


# The service of a port among the ranges of a prefix; of an empty slot ROUTE_NONE.
cdef inline uint32_t prefix_match(const Routes *routes, const Prefix *prefix,
                                  uint16_t port) noexcept nogil:
    cdef const PortRange *ports
    cdef uint32_t i
    if prefix.range_count == 1:
        return prefix.first if prefix.low <= port <= prefix.high else <uint32_t>ROUTE_NONE
    for i in range(prefix.range_count):
        ports = &routes.ranges[prefix.first + i]
        if ports.low <= port <= ports.high:
            return ports.service
    return ROUTE_NONE


cdef bint routes_covers(const Routes *routes, const uint8_t *address) noexcept nogil:
    cdef uint64_t high = load64_raw(address)
    cdef uint64_t low = load64_raw(address + 8)
    cdef const PrefixLength *length
    cdef uint32_t i
    for i in range(lengths_of(routes, address)):
        length = &routes.lengths[i]
        if prefix_slot(routes, high & length.mask[0], low & length.mask[1],
                       length.bits).range_count:
            return True
    return False
