"""The contract stands in roster.pxd."""

from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_network

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from cython_core.proxy.conntable cimport ACTIVITY_TICK_S
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.routes cimport MAPPED_BITS, Rule, routes_build, routes_release
from cython_core.proxy.service cimport (
    ACTIVATION_OFF, UNKNOWN_FORWARD, snapshot_build, snapshot_free,
)
from cython_core.proxy.slots cimport leaving_at, live_at, slot_row

from cython_core.proxy.service import ACTIVATIONS, UNKNOWN_FLOWS

PORT_RANGES_MAX = 64            # of one service: they are searched one by one
RULES_MAX = 1 << 20             # of all services: prefixes x port ranges
MAPPED = ip_network("::ffff:0:0/96")    # RFC 4291 §2.5.5.2: how IPv4 stands in floor 2
WSCALE_ABSENT = 15              # proxy/service: no window scale is announced
EPOCHS_TOLD = 255               # the most that wscale_former_epochs can say


cdef class Draft:
    def __dealloc__(self):
        snapshot_free(self.snapshot)
        routes_release(self.live)
        routes_release(self.leaving)
        free(self.services)


cdef class Roster:
    def __cinit__(self, uint32_t slots, int workers):
        self.slots = slots
        self.workers = workers
        self.order = []
        self.wscales = {}
        self.rules = []
        self.given_up = {}
        self.services = <Service *>calloc(2 * slots, sizeof(Service))
        self.live = routes_build(NULL, 0)
        if self.services == NULL or self.live == NULL:
            raise MemoryError

    def __dealloc__(self):
        free(self.services)
        routes_release(self.live)
        routes_release(self.leaving)

    cdef Draft draft(self, uint64_t generation, list services, list gone, uint64_t now_s):
        cdef Draft draft = Draft.__new__(Draft)
        changes = changes_of(self.order, services)
        draft.order = services
        draft.opened = [after.slot for before, after in changes if after is not None
                        and (before is None or before.name != after.name)]
        draft.used = max(self.used, max(draft.opened, default=-1) + 1)
        differ = any(routes_differ(before, after) for before, after in changes)
        self.check_places(changes)
        self.route(draft, changes if differ else [], gone)
        self.compile(draft, changes, differ, gone, now_s)
        draft.snapshot = snapshot_build(generation, self.services, 2 * draft.used, draft.live,
                                        draft.leaving)
        if draft.snapshot == NULL:
            raise MemoryError
        draft_lay(draft, draft.snapshot.services)
        return draft

    cdef Snapshot *take(self, Draft draft) noexcept:
        cdef Snapshot *snapshot = draft.snapshot
        draft.snapshot = NULL
        draft_lay(draft, self.services)
        self.live, draft.live = draft.live, self.live
        self.leaving, draft.leaving = draft.leaving, self.leaving
        self.order, self.rules, self.given_up = draft.order, draft.rules, draft.given_up
        self.wscales, self.used = draft.wscales, draft.used
        return snapshot

    # Nobody comes to a place that another one keeps.
    cdef int check_places(self, changes) except -1:
        for before, after in changes:
            if before is None and 0 <= after.slot < self.slots:
                if self.services[live_at(after.slot)].row != 0:
                    raise slot_twice(after)
        return 0

    # With all that can be wrong about prefixes and ports; `changes` are empty where none differ.
    cdef int route(self, Draft draft, changes, gone) except -1:
        former = {slot: left for slot, left in self.given_up.items() if slot not in gone}
        draft.rules, draft.given_up = self.rules, former
        if changes:
            draft.rules = rules_changed(self.rules, changes, self.slots)
            check_overlaps(draft.rules, self.order, changes)
            draft.given_up = given_up_by(former, changes)
            draft.live = routes_of(draft.rules, False)
        else:
            draft.live = routes_shared(self.live)
        if changes or gone:
            draft.leaving = leaving_routes(draft.given_up)
        else:
            draft.leaving = routes_shared(self.leaving)
        return 0

    cdef int compile(self, Draft draft, changes, bint differ, gone, uint64_t now_s) except -1:
        cdef Service *service
        draft.wscales = dict(self.wscales) if changes else self.wscales
        draft.services = <Laid *>calloc(2 * len(changes) + len(gone) + 1, sizeof(Laid))
        if draft.services == NULL:
            raise MemoryError
        for slot in gone:
            draft_change(draft, leaving_at(slot), &self.services[leaving_at(slot)]).row = 0
        for before, after in changes:
            spec = before if after is None else after
            if differ and before is not None and spec.slot in draft.given_up:
                service = draft_change(draft, leaving_at(spec.slot),
                                       &self.services[leaving_at(spec.slot)])
                leave(service, &self.services[live_at(spec.slot)])
            service = draft_change(draft, live_at(spec.slot), &self.services[live_at(spec.slot)])
            if after is None:
                service.row = 0
                continue
            draft.wscales[spec.slot] = wscale_announced(
                spec, draft.wscales.get(spec.slot), now_s)
            compile_service(service, spec, draft.wscales[spec.slot], self.workers)
        return 0


cdef Routes *routes_shared(Routes *routes) noexcept:
    if routes != NULL:
        routes.users += 1
    return routes


# Another Service in place of the one `at`, to begin with as that is.
cdef Service *draft_change(Draft draft, uint32_t at, const Service *service) noexcept:
    cdef Laid *laid = &draft.services[draft.count]
    draft.count += 1
    laid.at = at
    laid.service = service[0]
    return &laid.service


cdef void draft_lay(Draft draft, Service *services) noexcept:
    cdef uint32_t index
    for index in range(draft.count):
        services[draft.services[index].at] = draft.services[index].service


# It takes no SYN any more, and its row of counters is its own.
cdef void leave(Service *leaving, const Service *service) noexcept:
    cdef uint8_t former = leaving.leaving
    leaving[0] = service[0]
    leaving.row += 1
    leaving.activation = ACTIVATION_OFF
    leaving.unknown_flow = UNKNOWN_FORWARD
    leaving.leaving = former % 255 + 1      # another than before: cookies are good once more


def changes_of(list former, list services):
    """(before, after) of each slot whose spec is another; None where there is none.  A service that
    is in both lists is passed over where it stands in order from their beginning or end."""
    cdef Py_ssize_t head = 0, tail = 0, at, most = min(len(former), len(services))
    if len(former) == len(services):
        pairs = [(former[at], services[at]) for at in range(most)
                 if former[at] is not services[at]]
        if all(before.slot == after.slot for before, after in pairs):
            return pairs
    while head < most and former[head] is services[head]:
        head += 1
    while (tail < most - head
           and former[len(former) - 1 - tail] is services[len(services) - 1 - tail]):
        tail += 1
    before = {service.slot: service for service in former[head:len(former) - tail]}
    after = {}
    for service in services[head:len(services) - tail]:
        if after.setdefault(service.slot, service) is not service:
            raise slot_twice(service)
    return [(before.get(slot), after.get(slot)) for slot in before | after
            if before.get(slot) is not after.get(slot)]


def slot_twice(service):
    return ValueError(f"service {service.name}: slot {service.slot} twice")


def routes_differ(before, after):
    if before is None or after is None:
        return True
    return (before.name, before.prefixes, before.ports) != (after.name, after.prefixes, after.ports)


def rules_changed(rules, changes, slots):
    """The rules in order after these changes: (-bits, address, first port, last port, slot), the
    longest prefixes first, those of one prefix side by side."""
    gone = {spec.slot for pair in changes for spec in pair if spec is not None}
    rules = [rule for rule in rules if rule[4] not in gone]
    for _, after in changes:
        if after is not None:
            rules += rules_of(after, slots)
    if len(rules) > RULES_MAX:
        raise ValueError(f"{len(rules)} pairs of prefix and port range, of {RULES_MAX}")
    rules.sort()
    return rules


def check_overlaps(list rules, order, changes):
    cdef tuple former, later
    cdef Py_ssize_t at
    for at in range(1, len(rules)):
        former, later = rules[at - 1], rules[at]
        if former[0] == later[0] and former[1] == later[1] and later[2] <= former[3]:
            names = {spec.slot: spec.name for spec in order}
            names.update((after.slot, after.name) for _, after in changes if after is not None)
            raise ValueError(f"services {names[former[4]]} and {names[later[4]]} have port"
                             f" {later[2]} of one prefix in common")


def rules_of(spec, slots):
    if not 0 <= spec.slot < slots:
        raise ValueError(f"service {spec.name}: slot {spec.slot}, of {slots}")
    if len(spec.ports) > PORT_RANGES_MAX:
        raise ValueError(f"service {spec.name}: more than {PORT_RANGES_MAX} port ranges")
    for low, high in spec.ports:
        if not 1 <= low <= high <= 65535:
            raise ValueError(f"service {spec.name}: ports {low}-{high}")
    return [(-bits, address, low, high, spec.slot)
            for bits, address in map(prefix_of, spec.prefixes) for low, high in spec.ports]


def given_up_by(given_up, changes):
    """What leaves after these changes: by slot, whose it is and its rules.  A service that comes
    back before all of it has left has its slot again, as one that takes a prefix back."""
    given_up = dict(given_up)
    for before, after in changes:
        if before is None:
            if after.slot in given_up and given_up[after.slot][0] != after.name:
                raise ValueError(f"service {after.name}: slot {after.slot} is still being left")
            continue
        kept = set() if after is None else set(rules_of(after, after.slot + 1))
        left = [rule for rule in rules_of(before, before.slot + 1) if rule not in kept]
        if left:
            former = given_up[before.slot][1] if before.slot in given_up else ()
            given_up[before.slot] = before.name, sorted({*former, *left})
    return given_up


cdef Routes *leaving_routes(dict given_up) except? NULL:
    """NULL where nothing leaves."""
    if not given_up:
        return NULL
    # Of two that left the same port, one after the other, either will do.
    return routes_of(sorted(rule for _, rules in given_up.values() for rule in rules), True)


cdef Routes *routes_of(list rules, bint leaving) except NULL:
    cdef Rule *described = <Rule *>calloc(len(rules) + 1, sizeof(Rule))
    cdef Routes *routes = NULL
    cdef Py_ssize_t at
    if described != NULL:
        for at in range(len(rules)):
            describe(&described[at], <tuple>rules[at], leaving)
        routes = routes_build(described, <uint32_t>len(rules))
        free(described)
    if routes == NULL:
        raise MemoryError
    return routes


cdef void describe(Rule *described, tuple rule, bint leaving):
    cdef bytes address = rule[1]
    described.bits = -rule[0]
    memcpy(described.address, <const unsigned char *>address, 16)
    described.port_low = rule[2]
    described.port_high = rule[3]
    described.service = leaving_at(rule[4]) if leaving else live_at(rule[4])


@lru_cache(maxsize=RULES_MAX)
def prefix_of(text):
    """Length and address in 128 bits, IPv4 behind ::ffff:0:0/96.  ValueError with host bits."""
    network = ip_network(text)
    if network.version == 4:
        return network.prefixlen + 96, MAPPED.network_address.packed[:12] + network[0].packed
    if network.overlaps(MAPPED):
        raise ValueError(f"{text} holds IPv4's mapped addresses, {MAPPED}; 2000::/3 is all global"
                         " unicast")
    return network.prefixlen, network[0].packed


def wscale_announced(service, former, now_s):
    """What of the slot's wscale its cookies still need: (name, now, former, the last epoch in
    which the former one was announced, the one before, in how many epochs the former one was).
    A change within that epoch keeps the former ones."""
    wscale = WSCALE_ABSENT if service.options.wscale is None else service.options.wscale
    # Workers may see the snapshot in the next second, and it may belong to the next epoch.
    epoch = (now_s + 1) // COOKIE_EPOCH_S
    if former is None or former[0] != service.name:
        return service.name, wscale, wscale, 0, wscale, EPOCHS_TOLD
    if wscale == former[1] or epoch <= former[3]:
        return service.name, wscale, *former[2:]
    return service.name, wscale, former[1], epoch, former[2], min(epoch - former[3], EPOCHS_TOLD)


cdef int compile_service(Service *compiled, service, wscales, int workers) except -1:
    options = service.options
    compiled.row = slot_row(service.slot)
    compiled.tag = int.from_bytes(sha256(service.name.encode()).digest()[:4], "big")
    compiled.mss = options.mss
    compiled.mss_ipv6 = options.mss_ipv6
    (_, compiled.wscale, compiled.wscale_former, compiled.wscale_former_until,
     compiled.wscale_older, compiled.wscale_former_epochs) = wscales
    compiled.sack = options.sack
    compiled.timestamps = options.timestamps
    compiled.ecn = options.ecn
    compiled.syn_retries = options.syn_retries
    compiled.syn_timeout_ms = options.syn_timeout_ms
    compiled.established_ticks = ticks_of(options.established_timeout_s)
    compiled.half_closed_ticks = ticks_of(options.half_closed_timeout_s)
    compiled.time_wait_ticks = ticks_of(options.time_wait_timeout_s)
    compiled.closed_ticks = ticks_of(options.closed_timeout_s)
    compiled.active_ticks = ticks_of(options.active_timeout_s)
    compiled.mss_auto = options.learn_mss
    compiled.mss_ipv6_auto = options.learn_mss_ipv6
    compiled.wscale_auto = options.learn_wscale and options.wscale is not None
    compiled.early_data = options.early_data
    compiled.activation = ACTIVATIONS.index(options.activation)
    compiled.unknown_flow = UNKNOWN_FLOWS.index(options.unknown_flow)
    # Each worker sees its share of the load.
    compiled.unknown_rate = share(options.unknown_rate, workers)
    compiled.syn_rate_mark = share(options.syn_rate_mark, workers)
    compiled.half_open_mark = share(options.half_open_mark, workers)
    compiled.hold_ms = options.hold_s * 1000
    compiled.grace_ms = options.grace_s * 1000
    compiled.open_rate = share(options.open_rate, workers)
    compiled.open_burst = share(options.open_burst, workers)
    compiled.source_rate = share(options.source_rate, workers)
    compiled.source_burst = share(options.source_burst, workers)
    compiled.pacing_rate = share(options.pacing_rate, workers)
    compiled.pacing_burst = share(options.pacing_burst, workers)
    compiled.pacing_wait_ms = options.pacing_wait_ms
    compiled.source_bits = MAPPED_BITS + options.source_prefix
    compiled.source_bits_ipv6 = options.source_prefix_ipv6
    return 0


def share(total, workers):
    return -(-total // workers)


def ticks_of(seconds):
    return max(seconds // ACTIVITY_TICK_S, 1)
