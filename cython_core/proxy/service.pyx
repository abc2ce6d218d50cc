from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.ip cimport ip_is_mapped

cdef enum:
    MAPPED_BITS = 96            # of ::ffff:0:0/96, where IPv4 lies

# What people call the values of Activation and UnknownFlow, by number.
ACTIVATIONS = ("always", "auto", "monitor", "off")
UNKNOWN_FLOWS = ("forward", "drop", "reset")


cdef Snapshot *snapshot_build(uint64_t generation, const Service *services, uint32_t service_count,
                              const Rule *rules, uint32_t rule_count) noexcept nogil:
    cdef uint32_t slots = 2
    cdef uint32_t i
    cdef Snapshot *snapshot = <Snapshot *>calloc(1, sizeof(Snapshot))
    if snapshot == NULL:
        return NULL
    while slots < 2 * rule_count:
        slots *= 2
    snapshot.generation = generation
    snapshot.service_count = service_count
    snapshot.prefix_mask = slots - 1
    snapshot.services = <Service *>calloc(service_count + 1, sizeof(Service))
    snapshot.ranges = <PortRange *>calloc(rule_count + 1, sizeof(PortRange))
    snapshot.prefixes = <Prefix *>calloc(slots, sizeof(Prefix))
    if snapshot.services == NULL or snapshot.ranges == NULL or snapshot.prefixes == NULL:
        snapshot_free(snapshot)
        return NULL
    memcpy(snapshot.services, services, service_count * sizeof(Service))
    for i in range(rule_count):
        snapshot_add_rule(snapshot, &rules[i], i)
    return snapshot


cdef void snapshot_free(Snapshot *snapshot) noexcept nogil:
    if snapshot == NULL:
        return
    free(snapshot.services)
    free(snapshot.ranges)
    free(snapshot.prefixes)
    free(snapshot)


cdef void snapshot_add_rule(Snapshot *snapshot, const Rule *rule, uint32_t at) noexcept nogil:
    cdef PrefixLength *length
    cdef Prefix *prefix
    cdef uint32_t bit
    if snapshot.length_count == 0 or snapshot.lengths[snapshot.length_count - 1].bits != rule.bits:
        length = &snapshot.lengths[snapshot.length_count]
        length.bits = rule.bits
        memset(length.mask, 0, 16)
        for bit in range(rule.bits):
            (<uint8_t *>length.mask)[bit >> 3] |= <uint8_t>(0x80 >> (bit & 7))
        snapshot.length_count += 1
    prefix = prefix_slot(snapshot, load64_raw(rule.address), load64_raw(rule.address + 8),
                         rule.bits)
    if prefix.range_count == 0:
        prefix.address[0] = load64_raw(rule.address)
        prefix.address[1] = load64_raw(rule.address + 8)
        prefix.bits = rule.bits
        prefix.range_first = at
    prefix.range_count += 1
    snapshot.ranges[at].low = rule.port_low
    snapshot.ranges[at].high = rule.port_high
    snapshot.ranges[at].service = rule.service


# The slot of a prefix, or the empty slot where it would stand.
cdef inline Prefix *prefix_slot(const Snapshot *snapshot, uint64_t high, uint64_t low,
                                uint8_t bits) noexcept nogil:
    # The keys are the operator's own, so a multiplicative hash needs no secret here.
    cdef uint64_t mixed = (high ^ (low << 1) ^ (low >> 63) ^ bits) * <uint64_t>0x9E3779B97F4A7C15
    cdef uint32_t at = <uint32_t>(mixed >> 32) & snapshot.prefix_mask
    cdef Prefix *prefix
    while True:
        prefix = &snapshot.prefixes[at]
        if prefix.range_count == 0:
            return prefix
        if prefix.address[0] == high and prefix.address[1] == low and prefix.bits == bits:
            return prefix
        at = (at + 1) & snapshot.prefix_mask


# How many of the lengths can hold that address: an IPv6 prefix so short that ::ffff:0:0/96 lies
# in it, as ::/0, is none of IPv4's.
cdef inline uint32_t lengths_of(const Snapshot *snapshot, const uint8_t *address) noexcept nogil:
    cdef uint32_t lengths = snapshot.length_count
    if ip_is_mapped(address):
        while lengths > 0 and snapshot.lengths[lengths - 1].bits < MAPPED_BITS:
            lengths -= 1
    return lengths


cdef const Service *snapshot_match(const Snapshot *snapshot, const uint8_t *address,
                                   uint16_t port) noexcept nogil:
    cdef uint64_t high = load64_raw(address)
    cdef uint64_t low = load64_raw(address + 8)
    cdef const PrefixLength *length
    cdef const Prefix *prefix
    cdef const PortRange *ports
    cdef uint32_t i, j
    for i in range(lengths_of(snapshot, address)):
        length = &snapshot.lengths[i]
        prefix = prefix_slot(snapshot, high & length.mask[0], low & length.mask[1], length.bits)
        for j in range(prefix.range_count):
            ports = &snapshot.ranges[prefix.range_first + j]
            if ports.low <= port <= ports.high:
                return &snapshot.services[ports.service]
    return NULL


cdef bint snapshot_covers(const Snapshot *snapshot, const uint8_t *address) noexcept nogil:
    cdef uint64_t high = load64_raw(address)
    cdef uint64_t low = load64_raw(address + 8)
    cdef const PrefixLength *length
    cdef uint32_t i
    for i in range(lengths_of(snapshot, address)):
        length = &snapshot.lengths[i]
        if prefix_slot(snapshot, high & length.mask[0], low & length.mask[1],
                       length.bits).range_count:
            return True
    return False
