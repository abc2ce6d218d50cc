"""Python doors to floor 2, for tests; not in the image.

`Box` is one worker's proxy without a worker: frames go in as bytes, what comes out is handed
back as bytes, and the caller owns the clock.  Parts that stand alone are in _testing_parts.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core._testing_structs cimport (
    block, describe, file_in, flow_of, master_of, snapshot_of,
)
from cython_core.proxy.activation cimport activation_connections
from cython_core.proxy.burst cimport (
    BURST_FRAMES, Burst, burst_admit, burst_decide, burst_hash, burst_match, burst_parse,
    burst_prove, burst_run, burst_verify,
)
from cython_core.proxy.census cimport CENSUS_KINDS
from cython_core.proxy.conntable cimport (
    STATE_FREE, Connection, ConnTable, conntable_bytes, conntable_entry, conntable_init,
    conntable_look,
)
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.counters cimport COUNTERS_N, DROP_FIRST, Row
from cython_core.proxy.deletion cimport connection_delete
from cython_core.proxy.drain cimport snapshot_drain
from cython_core.proxy.early cimport early_bytes, early_init
from cython_core.proxy.events cimport Event, Events, events_read, events_switch
from cython_core.proxy.half_open cimport HalfOpenPool, half_open_bytes, half_open_init
from cython_core.proxy.learned cimport (
    LearnedServer, learned_bytes, learned_init, learned_look, learned_mss, learned_sack,
    learned_sent_timestamps, learned_wscale,
)
from cython_core.proxy.links cimport Links, links_bytes
from cython_core.proxy.overtaken cimport Overtaken
from cython_core.proxy.pacers cimport Pacers
from cython_core.proxy.secrets cimport secrets_rotate
from cython_core.proxy.service cimport (
    Snapshot, snapshot_covers, snapshot_free, snapshot_match,
)
from cython_core.proxy.shard_file cimport Shape, shard_file_learned, shard_file_shard
from cython_core.proxy.sources cimport Sources
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SupplyPool, supply_init
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, OUTBOX_FRAMES, VERDICT_ABSORB, VERDICT_BRIDGE, VERDICT_TO_CLIENT,
    VERDICT_TO_SERVER, VERDICT_TRANSLATE, Proxy, proxy_clock, proxy_snapshot,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.segment cimport Flow
from cython_core.wire.siphash cimport SipKey
from cython_core.wire.vector cimport vector_pick

from cython_core.proxy import counters
from cython_core.proxy.drain import DRAINS

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


cdef class Box:
    """`services` are dicts with the fields of proxy/service's Service, and `rules`: a list of
    (16-byte address, bits, first port, last port).  `beside`: another worker's, for whom the same
    services are.  `memory`: a buffer for a file of so many shards, of which this one is the first,
    and those of boxes beside it follow."""

    def __cinit__(self, services, uint64_t now_ms, uint32_t connections=1024,
                  uint32_t half_open=256, uint32_t early=64, uint32_t supplies=16,
                  master=(1, 2), table_key=(3, 4), Box beside=None, vector="auto",
                  uint32_t servers=4096, memory=None, uint32_t shards=1):
        cdef Shape shape = Shape(shards, connections, half_open, servers)
        cdef uint32_t index = 0
        cdef Shard shard
        memset(&self.proxy, 0, sizeof(Proxy))
        self.snapshot = NULL
        self.burst = <Burst *>calloc(1, sizeof(Burst))
        self.buffers = <uint8_t *>calloc(BURST_FRAMES, ROOM_BYTES)
        self.spares = <uint8_t *>calloc(OUTBOX_FRAMES, ROOM_BYTES)
        memset(self.spares, UNTOUCHED, OUTBOX_FRAMES * ROOM_BYTES)
        self.proxy.rows = <Row *>calloc(ROWS, sizeof(Row))
        master_of(&self.proxy.secrets, master)
        self.proxy.vector = vector_pick(vector)
        self.proxy.table_key.k0, self.proxy.table_key.k1 = table_key
        self.beside = beside
        self.first = beside is None
        self.memory = memory
        self.file = NULL
        if memory is not None:
            self.file = file_in(memory, &shape)
        while beside is not None and beside.file != NULL:
            self.file = beside.file
            index += 1
            beside = beside.beside
        beside = self.beside
        shard = self.shard(index, connections, half_open)
        self.proxy.table = conntable_init(shard.table, connections)
        if self.first:
            self.proxy.learned = learned_init(
                block(learned_bytes(servers)) if self.file == NULL
                else shard_file_learned(self.file), servers)
            self.proxy.answered_ms = <uint64_t *>calloc(ROWS, sizeof(uint64_t))
        else:
            self.proxy.learned = beside.proxy.learned
            self.proxy.answered_ms = beside.proxy.answered_ms
        self.proxy.supplies = shard.supplies
        supply_init(self.proxy.supplies, supplies)
        self.proxy.superseded = shard.superseded
        self.proxy.overtaken = <Overtaken *>calloc(1, sizeof(Overtaken))
        self.proxy.sources = <Sources *>calloc(1, sizeof(Sources))
        self.proxy.events = <Events *>calloc(1, sizeof(Events))
        self.proxy.links = <Links *>calloc(1, links_bytes(connections))
        self.early = early_init(block(early_bytes(early)), early)
        self.pacers = <Pacers *>calloc(1, sizeof(Pacers))
        self.proxy.half_open = half_open_init(shard.half_open, half_open, self.early, now_ms)
        self.proxy.half_open.pacers = self.pacers
        cdef uint32_t i
        for i in range(OUTBOX_FRAMES):
            self.proxy.outbox.frame[i] = self.spares + i * ROOM_BYTES
        self.spare_frames(OUTBOX_FRAMES)
        self.publish(services)
        self.set_clock(now_ms)

    def __dealloc__(self):
        """Where a cycle is collected the file's memory goes first."""
        free(self.burst)
        free(self.buffers)
        free(self.spares)
        free(self.proxy.rows)
        if self.first:
            free(self.proxy.answered_ms)
        if self.file == NULL:
            if self.first:
                free(self.proxy.learned)
            free(self.proxy.table)
            free(self.proxy.half_open)
            free(self.proxy.supplies)
            free(self.proxy.superseded)
        free(self.proxy.overtaken)
        free(self.proxy.sources)
        free(self.proxy.links)
        free(self.proxy.events)
        free(self.early)
        free(self.pacers)
        snapshot_free(self.snapshot)

    cdef Shard shard(self, uint32_t index, uint32_t connections, uint32_t half_open) except *:
        cdef Shard shard
        if self.file != NULL:
            return shard_file_shard(self.file, index)
        shard.table = <ConnTable *>block(conntable_bytes(connections))
        shard.half_open = <HalfOpenPool *>block(half_open_bytes(half_open))
        shard.supplies = <SupplyPool *>block(sizeof(SupplyPool))
        shard.superseded = <Superseded *>block(sizeof(Superseded))
        return shard

    def publish(self, services, drain="none"):
        cdef Snapshot *former = self.snapshot
        self.snapshot = snapshot_of(services)
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

    def inherit(self, Box former):
        """What a process that starts anew has of the former one: its secrets, and no connection."""
        self.snapshot.secrets = former.proxy.secrets
        proxy_snapshot(&self.proxy, self.snapshot)

    def age(self):
        """Counts of all times that wrap stand just before it, as after years."""
        self.proxy.table.inserted = self.proxy.sweep = <uint32_t>-2

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
        memset(self.buffers, UNTOUCHED, burst.count * ROOM_BYTES)
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
        if outbox.filled:
            memset(self.spares, UNTOUCHED, outbox.filled * ROOM_BYTES)
        outbox.filled = 0
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
                "paced": self.proxy.half_open.pacers.waiting,
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
                for slot in range(self.proxy.learned.mask + 1)
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
