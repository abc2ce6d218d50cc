from libc.stdint cimport uint8_t, uint16_t, uint32_t
from libc.string cimport memset

from cython_core._testing_talk cimport tape_byte
from cython_core.proxy.drain cimport DRAIN_DROP, DRAIN_NONE, snapshot_drain
from cython_core.proxy.routes cimport MAPPED_BITS, Routes, Rule, routes_build, routes_release
from cython_core.proxy.service cimport Service, snapshot_build
from cython_core.proxy.slots cimport leaving_at, live_at, slot_row
from cython_core.wire.byteorder cimport store32

cdef enum:
    SLOTS = 2
    RULES = 4                   # an IPv4 and an IPv6 prefix of each
    FOREVER = 0xFFFF            # ticks

cdef uint16_t[8] MSS = [1460, 1440, 1400, 536, 1220, 8960, 65535, 64]
cdef uint8_t[4] WSCALES = [7, 14, 0, 15]


cdef Snapshot *services_say(Tape *tape) noexcept nogil:
    cdef Service[2 * SLOTS] services
    cdef Routes *live
    cdef Routes *leaving
    cdef Snapshot *snapshot
    cdef uint8_t how = tape_byte(tape)
    cdef uint32_t slot, at
    memset(services, 0, sizeof(services))
    for slot in range(SLOTS):
        if how >> slot & 1:
            continue            # none
        at = leaving_at(slot) if how >> (2 + slot) & 1 else live_at(slot)
        service_say(&services[at], slot, tape)
        services[at].row = at + 1
        services[at].leaving = at == leaving_at(slot)
        bounds_say(&services[at], how >> 6)
        pacing_say(&services[at], how >> 4 & 3)
    live = routes_of(services, 0)
    leaving = routes_of(services, 1)
    snapshot = snapshot_build(1, services, 2 * SLOTS, live, leaving)
    routes_release(live)
    routes_release(leaving)
    snapshot_drain(snapshot, how >> 4 & 3 if how >> 4 & 3 <= DRAIN_DROP else DRAIN_NONE)
    return snapshot


# Three bytes of it; without any, what most services have.
cdef void service_say(Service *service, uint32_t slot, Tape *tape) noexcept nogil:
    cdef uint8_t policy = tape_byte(tape)
    cdef uint8_t options = tape_byte(tape)
    cdef uint8_t numbers = tape_byte(tape)
    service.tag = slot_row(slot)
    service.activation = policy & 3
    service.unknown_flow = (policy >> 2 & 3) % 3
    service.early_data = not policy >> 4 & 1
    service.syn_retries = (policy >> 5 & 3) ^ 1
    service.grace_ms = 120_000 if policy >> 7 else 0
    service.sack = not options & 1
    service.timestamps = not options >> 1 & 1
    service.ecn = options >> 2 & 1
    service.mss_auto = options >> 3 & 1
    service.mss_ipv6_auto = options >> 4 & 1
    service.wscale_auto = options >> 5 & 1
    service.unknown_rate = 2 if options >> 6 & 1 else 1000
    service.syn_rate_mark = service.half_open_mark = 3 if options >> 7 else 100
    service.mss = MSS[numbers & 7]
    service.mss_ipv6 = MSS[numbers >> 1 & 7]
    service.wscale = WSCALES[numbers >> 3 & 3]
    service.wscale_former = WSCALES[numbers >> 5 & 3]
    service.wscale_older = WSCALES[numbers >> 4 & 3]
    service.wscale_former_epochs = numbers
    service.wscale_former_until = 0xFFFFFFFF if numbers >> 7 else 0
    service.syn_timeout_ms = 1000
    service.hold_ms = 60_000
    service.established_ticks = 7200
    service.half_closed_ticks = 900
    service.time_wait_ticks = 15
    service.closed_ticks = FOREVER if numbers & 1 else 30


# Few or many new connections; and soon idle, or not.
cdef void bounds_say(Service *service, uint8_t how) noexcept nogil:
    service.open_rate = service.source_rate = how & 1
    service.open_burst = 2
    service.source_burst = 1
    service.source_bits = MAPPED_BITS + 24
    service.source_bits_ipv6 = 56
    service.active_ticks = 1 if how >> 1 & 1 else 75      # of 4 s


# The value that no drain has: few first SYNs to each server.
cdef void pacing_say(Service *service, uint8_t how) noexcept nogil:
    service.pacing_rate = how > DRAIN_DROP
    service.pacing_burst = 1
    service.pacing_wait_ms = 2000


# Of the services in place 0 or 1 of each slot: single addresses of the first, both nets of the
# second, which so has what the first leaves.
cdef Routes *routes_of(const Service *services, uint32_t place) noexcept nogil:
    cdef Rule[RULES] rules
    cdef uint32_t count = 0
    cdef uint32_t slot
    memset(rules, 0, sizeof(rules))
    for slot in range(SLOTS):
        if services[2 * slot + place].row == 0:
            continue
        rule_say(&rules[count], 2 * slot + place, 4, 128 if slot == 0 else 120)
        rule_say(&rules[count + 1], 2 * slot + place, 6, 128 if slot == 0 else 64)
        count += 2
    return routes_build(rules, count)


cdef void rule_say(Rule *rule, uint32_t service, uint8_t family, uint8_t bits) noexcept nogil:
    if family == 4:
        store32(rule.address + 8, 0x0000FFFF)
        store32(rule.address + 12, 0x0A000002 if bits == 128 else 0x0A000000)
    else:
        rule.address[0] = 0xFD
        rule.address[15] = 2 if bits == 128 else 0
    rule.bits = bits
    rule.port_low = 80
    rule.port_high = 80 if bits == 128 else 81
    rule.service = service
