"""Python doors to floor 2, for tests; not in the image.

`Box` is one worker's proxy without a worker: frames go in as bytes, what comes out is handed
back as bytes, and the caller owns the clock.  `Table` and `Cookies` are its parts alone.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core.proxy.activation cimport activation_connections
from cython_core.proxy.burst cimport (
    BURST_FRAMES, Burst, burst_admit, burst_decide, burst_hash, burst_match, burst_parse,
    burst_prove, burst_run, burst_verify,
)
from cython_core.proxy.census cimport CENSUS_KINDS
from cython_core.proxy.conntable cimport (
    CONN_CLIENT_FIN, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SERVER_FIN, CONN_TIMESTAMPS,
    CONNTABLE_ALIGN, STATE_CLIENT_RESET, STATE_CLOSED, STATE_DELETED, STATE_ESTABLISHED,
    STATE_FREE,
    STATE_HALF_CLOSED, STATE_REFUSED, STATE_SERVER_RESET, STATE_SYN_SENT, STATE_TIME_WAIT,
    Connection, ConnTable, conntable_bytes, conntable_entry, conntable_find, conntable_init,
    conntable_insert, conntable_look, conntable_remove, conntable_words,
)
from cython_core.proxy.cookie cimport (
    COOKIE_EPOCH_S, Cookie, CookieKeys, Offer, cookie_check, cookie_keys_derive,
)
from cython_core.proxy.counters cimport COUNTERS_N, DROP_FIRST, Row
from cython_core.proxy.deletion cimport connection_delete
from cython_core.proxy.drain cimport snapshot_drain
from cython_core.proxy.early cimport early_bytes, early_init
from cython_core.proxy.events cimport Event, Events, events_read, events_switch
from cython_core.proxy.half_open cimport half_open_bytes, half_open_init
from cython_core.proxy.learned cimport (
    LEARNED_SERVERS, Learned, LearnedServer, learned_look, learned_mss, learned_sack,
    learned_sent_timestamps, learned_wscale,
)
from cython_core.proxy.links cimport Links, links_bytes
from cython_core.proxy.overtaken cimport Overtaken
from cython_core.proxy.routes cimport Routes, Rule, routes_build, routes_release
from cython_core.proxy.secrets cimport Secrets, secrets_rotate
from cython_core.proxy.service cimport (
    Service, Snapshot, snapshot_build, snapshot_covers, snapshot_free, snapshot_match,
)
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SupplyPool, supply_init
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, OUTBOX_FRAMES, VERDICT_ABSORB, VERDICT_BRIDGE, VERDICT_TO_CLIENT,
    VERDICT_TO_SERVER, VERDICT_TRANSLATE, Proxy, proxy_clock, proxy_snapshot,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.cache cimport aligned_alloc
from cython_core.wire.segment cimport Flow
from cython_core.wire.siphash cimport SIPHASH_WORDS, SipKey, siphash_words
from cython_core.wire.vector cimport vector_pick

from cython_core.proxy import counters
from cython_core.proxy.drain import DRAINS
from cython_core.proxy.service import ACTIVATIONS, UNKNOWN_FLOWS

cdef enum:
    ROOM_BYTES = 2048           # a frame's buffer
    UNTOUCHED = 0xA5
    ROWS = 256                  # of counters: services have 1 to 255

VERDICTS = {
    VERDICT_BRIDGE: "bridge",
    VERDICT_TRANSLATE: "translate",
    VERDICT_TO_CLIENT: "to_client",
    VERDICT_TO_SERVER: "to_server",
    VERDICT_ABSORB: "absorb",
}
STATES = {
    STATE_FREE: "free",
    STATE_SYN_SENT: "syn_sent",
    STATE_ESTABLISHED: "established",
    STATE_HALF_CLOSED: "half_closed",
    STATE_TIME_WAIT: "time_wait",
    STATE_CLIENT_RESET: "closed",
    STATE_SERVER_RESET: "closed",
    STATE_CLOSED: "closed",
    STATE_REFUSED: "refused",
    STATE_DELETED: "deleted",
}


cdef class Box:
    """`services` are dicts with the fields of proxy/service's Service, and `rules`: a list of
    (16-byte address, bits, first port, last port).  `beside`: another worker's, for whom the same
    services are."""

    def __cinit__(self, services, uint64_t now_ms, uint32_t connections=1024,
                  uint32_t half_open=256, uint32_t early=64, uint32_t supplies=16,
                  master=(1, 2), table_key=(3, 4), Box beside=None, vector="auto"):
        memset(&self.proxy, 0, sizeof(Proxy))
        self.snapshot = NULL
        self.burst = <Burst *>calloc(1, sizeof(Burst))
        self.buffers = <uint8_t *>calloc(BURST_FRAMES, ROOM_BYTES)
        self.spares = <uint8_t *>calloc(OUTBOX_FRAMES, ROOM_BYTES)
        self.proxy.rows = <Row *>calloc(ROWS, sizeof(Row))
        master_of(&self.proxy.secrets, master)
        self.proxy.vector = vector_pick(vector)
        self.proxy.table_key.k0, self.proxy.table_key.k1 = table_key
        self.proxy.table = conntable_init(block(conntable_bytes(connections)), connections)
        self.beside = beside
        self.first = beside is None
        if self.first:
            self.proxy.learned = <Learned *>calloc(1, sizeof(Learned))
            self.proxy.answered_ms = <uint64_t *>calloc(ROWS, sizeof(uint64_t))
        else:
            self.proxy.learned = beside.proxy.learned
            self.proxy.answered_ms = beside.proxy.answered_ms
        self.proxy.supplies = <SupplyPool *>calloc(1, sizeof(SupplyPool))
        supply_init(self.proxy.supplies, supplies)
        self.proxy.superseded = <Superseded *>calloc(1, sizeof(Superseded))
        self.proxy.overtaken = <Overtaken *>calloc(1, sizeof(Overtaken))
        self.proxy.events = <Events *>calloc(1, sizeof(Events))
        self.proxy.links = <Links *>calloc(1, links_bytes(connections))
        self.proxy.half_open = half_open_init(
            block(half_open_bytes(half_open)), half_open,
            early_init(block(early_bytes(early)), early), now_ms)
        cdef uint32_t i
        for i in range(OUTBOX_FRAMES):
            self.proxy.outbox.frame[i] = self.spares + i * ROOM_BYTES
        self.spare_frames(OUTBOX_FRAMES)
        self.publish(services)
        self.set_clock(now_ms)

    def __dealloc__(self):
        free(self.burst)
        free(self.buffers)
        free(self.spares)
        free(self.proxy.rows)
        free(self.proxy.table)
        if self.first:
            free(self.proxy.learned)
            free(self.proxy.answered_ms)
        free(self.proxy.supplies)
        free(self.proxy.superseded)
        free(self.proxy.overtaken)
        free(self.proxy.links)
        free(self.proxy.events)
        free(self.proxy.half_open.early)
        free(self.proxy.half_open)
        snapshot_free(self.snapshot)

    def publish(self, services, drain="none"):
        cdef Snapshot *former = self.snapshot
        self.snapshot = build(services)
        snapshot_drain(self.snapshot, DRAINS.index(drain))
        self.snapshot.secrets = self.proxy.secrets
        proxy_snapshot(&self.proxy, self.snapshot)
        snapshot_free(former)

    def rotate(self, master, uint32_t epochs=1):
        """To another secret, from that many epochs ahead on."""
        cdef SipKey key
        key.k0, key.k1 = master
        secrets_rotate(&self.snapshot.secrets, <const uint8_t *>&key,
                       <uint32_t>(self.proxy.now_ms // 1000 // COOKIE_EPOCH_S) + epochs)
        proxy_snapshot(&self.proxy, self.snapshot)

    def set_clock(self, uint64_t now_ms):
        """Milliseconds since 1970."""
        proxy_clock(&self.proxy, now_ms * NS_PER_MS)

    def spare_frames(self, uint32_t ready):
        """How many frames the outbox has for each call, 0..64."""
        self.proxy.outbox.ready = ready

    def run(self, frames, bint from_client):
        """One burst: (verdict names in order of the frames, [(to_server, frame) sent])."""
        self.fill(frames, from_client)
        burst_run(self.burst, &self.proxy)
        return self.verdicts(), self.flush() + self.sent()

    def run_stages(self, bursts, bint from_client):
        """The verdict names of all bursts' frames.  Each stage is called from here as a worker
        calls it, where burst_run may have it built in: for who counts what a stage takes."""
        names = []
        for frames in bursts:
            self.fill(frames, from_client)
            burst_parse(self.burst, &self.proxy)
            burst_admit(self.burst, &self.proxy)
            burst_verify(self.burst, &self.proxy)
            burst_hash(self.burst, &self.proxy)
            burst_match(self.burst, &self.proxy)
            burst_prove(self.burst, &self.proxy)
            burst_decide(self.burst, &self.proxy)
            names += self.verdicts()
            self.flush()
        return names

    cdef int fill(self, frames, bint from_client) except -1:
        cdef uint32_t i
        cdef Burst *burst = self.burst
        burst.count = len(frames)
        burst.from_client = from_client
        memset(self.buffers, UNTOUCHED, BURST_FRAMES * ROOM_BYTES)
        for i, frame in enumerate(frames):
            burst.segment[i].frame = self.buffers + i * ROOM_BYTES
            burst.segment[i].frame_bytes = len(frame)
            burst.segment[i].room_bytes = ROOM_BYTES
            memcpy(burst.segment[i].frame, <const uint8_t *>frame, len(frame))
        return 0

    def delete(self, flow):
        """The entry that it had, and [(to_server, frame) sent]; `flow` as Table has it."""
        cdef Flow key = flow_of(flow)
        cdef Connection was
        found = connection_delete(&self.proxy, &key, &was)
        return describe(&was) if found else None, self.flush()

    def watch_events(self, bint on):
        events_switch(self.proxy.events, on)

    def events(self):
        """Those that were not read yet, as dicts."""
        cdef Event event
        told = []
        while events_read(self.proxy.events, &event):
            told.append({
                "time_ms": event.time_ns // NS_PER_MS, "reason": counters.NAMES[event.reason],
                "row": event.row, "from_client": bool(event.from_client), "flags": event.flags,
                "passed_over": event.passed_over,
                "client": (event.flow.client_address[:16], event.flow.client_port),
                "server": (event.flow.server_address[:16], event.flow.server_port),
            })
        return told

    def events_lost(self):
        return self.proxy.events.lost

    def look(self):
        """Every entry in use, as another thread would see it."""
        cdef Connection seen
        return [describe(&seen) for i in range(self.proxy.table.fresh)
                if conntable_look(self.proxy.table, i, &seen)]

    def tend(self, uint32_t steps=64):
        """`steps` turns of the timers: [(to_server, frame) sent]."""
        out = []
        for _ in range(steps):
            self.due += proxy_tend(&self.proxy)
            out += self.flush()
        return out

    cdef list verdicts(self):
        names = []
        for i in range(self.burst.count):
            verdict = self.burst.verdict[i]
            names.append(counters.NAMES[verdict] if verdict >= DROP_FIRST else VERDICTS[verdict])
        return names

    cdef list sent(self):
        out = []
        for i in range(self.burst.count):
            segment = &self.burst.segment[i]
            verdict = self.burst.verdict[i]
            if verdict == VERDICT_BRIDGE or verdict == VERDICT_TRANSLATE:
                to_server = self.burst.from_client
            elif verdict == VERDICT_TO_CLIENT or verdict == VERDICT_TO_SERVER:
                to_server = verdict == VERDICT_TO_SERVER
            else:
                continue
            out.append((bool(to_server), (<char *>segment.frame)[:segment.frame_bytes]))
        return out

    cdef list flush(self):
        out = []
        outbox = &self.proxy.outbox
        for i in range(outbox.filled):
            out.append((bool(outbox.to_server[i]),
                        (<char *>outbox.frame[i])[:outbox.frame_bytes[i]]))
        outbox.filled = 0
        memset(self.spares, UNTOUCHED, OUTBOX_FRAMES * ROOM_BYTES)
        return out

    def counters(self, row=None):
        """Totals by name, or one row's."""
        cdef uint32_t first = 0 if row is None else row
        cdef uint32_t last = ROWS - 1 if row is None else row
        cdef uint64_t[COUNTERS_N] sums
        cdef uint32_t i, j
        memset(sums, 0, sizeof(sums))
        for i in range(first, last + 1):
            for j in range(COUNTERS_N):
                sums[j] += self.proxy.rows[i].counters[j]
        return {name: sums[j] for j, name in enumerate(counters.NAMES)}

    def gauges(self):
        return {"connections": self.proxy.table.used, "half_open": self.proxy.half_open.awaiting,
                "records": self.proxy.half_open.used,
                "early": self.proxy.half_open.early.used, "supplies": self.proxy.supplies.used}

    def census(self):
        """Entries of each kind, as the last whole sweep had met them."""
        kinds = ("opening", "open", "passing", "time_wait", "tombstone")
        counted = [self.proxy.census.counted[kind] for kind in range(<int>CENSUS_KINDS)]
        return dict(zip(kinds, counted, strict=True))

    def connections(self):
        """Every entry in use, as a dict."""
        return [describe(conntable_entry(self.proxy.table, i))
                for i in range(self.proxy.table.fresh)
                if conntable_entry(self.proxy.table, i).state != STATE_FREE]

    def learned(self):
        """What is known of servers, as dicts; `noted_s` in seconds since 1970."""
        cdef LearnedServer server
        return [{"address": server.address[:16], "port": server.port,
                 "mss": learned_mss(server.word), "wscale": learned_wscale(server.word),
                 "sack": bool(learned_sack(server.word)),
                 "timestamps": bool(learned_sent_timestamps(server.word)),
                 "noted_s": server.noted_s}
                for slot in range(LEARNED_SERVERS)
                if learned_look(self.proxy.learned, slot, &server)]

    def connections_of(self, uint32_t row):
        """As the last whole sweep of the table had met them."""
        return activation_connections(&self.proxy.rows[row].pulse, self.proxy.sweep)

    def longest_run(self):
        """Of taken places side by side among the prefixes: what a lookup may have to walk."""
        run = longest = 0
        for i in range(self.snapshot.live.prefix_mask + 1):
            run = run + 1 if self.snapshot.live.prefixes[i].range_count else 0
            longest = max(run, longest)
        return longest

    def match(self, bytes address, uint16_t port):
        """The counter row of the service of an address (16 bytes) and port, or None."""
        service = snapshot_match(self.snapshot, address, port)
        return None if service == NULL else service.row

    def covers(self, bytes address):
        return bool(snapshot_covers(self.snapshot, address))


# For every epoch.
cdef int master_of(Secrets *secrets, master) except -1:
    memset(secrets, 0, sizeof(Secrets))
    secrets.secret[0].master.k0, secrets.secret[0].master.k1 = master
    return 0


cdef void *block(uint64_t size) except NULL:
    rounded = (size + CONNTABLE_ALIGN - 1) // CONNTABLE_ALIGN * CONNTABLE_ALIGN
    memory = aligned_alloc(CONNTABLE_ALIGN, rounded)
    if memory == NULL:
        raise MemoryError()
    memset(memory, 0, rounded)
    return memory


cdef describe(Connection *conn):
    return {
        "client": (conn.flow.client_address[:16], conn.flow.client_port),
        "server": (conn.flow.server_address[:16], conn.flow.server_port),
        "state": STATES[conn.state],
        "isn": conn.isn,
        "seq_offset": conn.seq_offset,
        "ts_offset": conn.ts_offset,
        "client_ack": conn.client_ack,
        "server_ack": conn.server_ack,
        "active": conn.active,
        "timestamps": bool(conn.flags & CONN_TIMESTAMPS),
        "client_fin": bool(conn.flags & CONN_CLIENT_FIN),
        "server_fin": bool(conn.flags & CONN_SERVER_FIN),
        "passes": bool(conn.flags & CONN_PASSES),
        "rst_doubtful": bool(conn.flags & CONN_RST_DOUBTFUL),
        "scales_client": conn.scales_client,
        "scales_server": conn.scales_server,
    }


cdef Snapshot *build(services) except NULL:
    cdef Service *compiled = <Service *>calloc(len(services) + 1, sizeof(Service))
    for i, service in enumerate(services):
        compiled[i] = service_of(service)
    live = routes_of([(rule, index) for index, service in enumerate(services)
                      for rule in service["rules"] if not service["leaving"]])
    leaving = routes_of([(rule, index) for index, service in enumerate(services)
                         for rule in service["rules"] if service["leaving"]])
    snapshot = snapshot_build(1, compiled, len(services), live, leaving)
    routes_release(live)
    routes_release(leaving)
    free(compiled)
    if snapshot == NULL:
        raise MemoryError()
    return snapshot


cdef Routes *routes_of(rules) except NULL:
    rules.sort(key=lambda item: (-item[0][1], item[0][0]))
    cdef Rule *compiled_rules = <Rule *>calloc(len(rules) + 1, sizeof(Rule))
    for i, ((address, bits, low, high), index) in enumerate(rules):
        memcpy(compiled_rules[i].address, <const uint8_t *>address, 16)
        compiled_rules[i].bits = bits
        compiled_rules[i].port_low = low
        compiled_rules[i].port_high = high
        compiled_rules[i].service = index
    routes = routes_build(compiled_rules, len(rules))
    free(compiled_rules)
    if routes == NULL:
        raise MemoryError()
    return routes


cdef Service service_of(fields) except *:
    cdef Service service
    memset(&service, 0, sizeof(service))
    service.row = fields["row"]
    service.tag = fields["tag"]
    service.mss = fields["mss"]
    service.mss_ipv6 = fields["mss_ipv6"]
    service.wscale = fields["wscale"]
    service.wscale_former = fields["wscale_former"]
    service.wscale_former_until = fields["wscale_former_until"]
    service.sack = fields["sack"]
    service.timestamps = fields["timestamps"]
    service.ecn = fields["ecn"]
    service.syn_retries = fields["syn_retries"]
    service.syn_timeout_ms = fields["syn_timeout_ms"]
    service.established_ticks = fields["established_ticks"]
    service.half_closed_ticks = fields["half_closed_ticks"]
    service.time_wait_ticks = fields["time_wait_ticks"]
    service.closed_ticks = fields["closed_ticks"]
    service.mss_auto = service.mss_ipv6_auto = service.wscale_auto = fields["auto"]
    service.early_data = fields["early_data"]
    service.activation = ACTIVATIONS.index(fields["activation"])
    service.leaving = fields["leaving"]
    service.unknown_flow = UNKNOWN_FLOWS.index(fields["unknown_flow"])
    service.unknown_rate = fields["unknown_rate"]
    service.syn_rate_mark = fields["syn_rate_mark"]
    service.half_open_mark = fields["half_open_mark"]
    service.hold_ms = fields["hold_ms"]
    service.grace_ms = fields["grace_ms"]
    return service


cdef class Table:
    """A connection table alone; flows are (client, client port, server, server port), the
    addresses 16 bytes."""

    cdef ConnTable *table
    cdef SipKey key

    def __cinit__(self, uint32_t capacity):
        self.table = conntable_init(block(conntable_bytes(capacity)), capacity)
        self.key.k0 = 5
        self.key.k1 = 6

    def __dealloc__(self):
        free(self.table)

    @property
    def used(self):
        return self.table.used

    @property
    def bytes(self):
        return self.table.bytes

    def insert(self, flow):
        """False: full."""
        cdef Flow key = flow_of(flow)
        return conntable_insert(self.table, self.digest(&key), &key) != NULL

    def find(self, flow):
        cdef Flow key = flow_of(flow)
        return conntable_find(self.table, self.digest(&key), &key) != NULL

    def remove(self, flow):
        cdef Flow key = flow_of(flow)
        conntable_remove(self.table, self.digest(&key),
                         conntable_find(self.table, self.digest(&key), &key))

    cdef uint64_t digest(self, const Flow *flow):
        cdef uint64_t[SIPHASH_WORDS] words
        conntable_words(words, 1, flow)
        return siphash_words(words, &self.key)


cdef class Cookies:
    """What one service accepts as its cookies at one time; flows are as in Table."""

    cdef Service service
    cdef CookieKeys keys

    def __cinit__(self, service, uint64_t now_s, master=(1, 2)):
        cdef Secrets secrets
        master_of(&secrets, master)
        self.service = service_of(service)
        cookie_keys_derive(&self.keys, &secrets, now_s)

    def check(self, flow, uint8_t family, uint32_t client_isn, uint32_t isn, tsval=None):
        """What the client had offered, as a dict, or None.  `tsval`: of our SYN-ACK."""
        cdef Flow key = flow_of(flow)
        cdef Offer offer
        cdef Cookie cookie
        cookie.isn = isn
        cookie.tsval = 0 if tsval is None else tsval
        if not cookie_check(&cookie, tsval is not None, &key, family, client_isn, &self.service,
                            &self.keys, &offer):
            return None
        return {"mss": offer.mss, "wscale": offer.wscale, "sack": bool(offer.sack),
                "ecn": bool(offer.ecn), "announced_wscale": offer.announced_wscale,
                "announced_sack": bool(offer.announced_sack)}

    def count(self, flow, uint8_t family, uint32_t client_isn, uint32_t first, uint32_t step,
              uint32_t n, tsval=None):
        """How many of the `n` ISNs first, first + step, ... are cookies."""
        cdef Flow key = flow_of(flow)
        cdef bint timestamps = tsval is not None
        cdef uint32_t i
        cdef uint32_t good = 0
        cdef Offer offer
        cdef Cookie cookie
        cookie.tsval = 0 if tsval is None else tsval
        for i in range(n):
            cookie.isn = first + i * step
            good += cookie_check(&cookie, timestamps, &key, family, client_isn, &self.service,
                                 &self.keys, &offer)
        return good


cdef Flow flow_of(flow) except *:
    cdef Flow key
    client, key.client_port, server, key.server_port = flow
    memcpy(key.client_address, <const uint8_t *>client, 16)
    memcpy(key.server_address, <const uint8_t *>server, 16)
    return key
