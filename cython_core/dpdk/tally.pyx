"""Reading the workers while they run.

Each number has one writer and is read as it stands; so sums over counters of one moment hold
only when traffic rests.  Ages are told by the workers' own clock: the wall clock may step.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy, memset

from cython_core.dpdk.worker cimport Worker
from cython_core.proxy.activation cimport activation_connections
from cython_core.proxy.counters cimport COUNTERS_N
from cython_core.proxy.learned cimport (
    LearnedServer, learned_look, learned_mss, learned_sack,
    learned_sent_timestamps, learned_wscale,
)
from cython_core.proxy.pulse cimport Pulse
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.slots cimport row_slot, slot_row
from cython_core.proxy.synproxy cimport NS_PER_S
from cython_core.wire.options cimport WSCALE_ABSENT

from cython_core.dpdk import terms
from cython_core.proxy.counters import NAMES

cdef enum:
    # Of a service: its counters, then two gauges.
    WORD_CONNECTIONS = COUNTERS_N
    WORD_COOKIES
    WORDS_SEEN


cdef list tally_workers(const Crew *crew, uint32_t rows):
    return [worker_stats(crew.worker[index], rows) for index in range(crew.count)]


cdef dict tally_service(const Crew *crew, uint32_t row):
    cdef uint64_t[COUNTERS_N] sums
    cdef uint32_t index
    memset(sums, 0, sizeof(sums))
    for index in range(crew.count):
        add_rows(sums, crew.worker[index], row, 1)
    return named(sums)


# Thousands of services rest at a time, and cost a look at their words alone.
cdef list tally_changes(const Crew *crew, list slots, seen):
    cdef uint64_t[WORDS_SEEN] words
    cdef uint64_t *former
    cdef uint64_t *memory
    cdef dict places = seen.places
    seen.make_room(slots, sizeof(words))
    memory = <uint64_t *><char *>seen.words
    changes = []
    for slot in slots:
        former = memory + <uint64_t>places[slot] * WORDS_SEEN
        words_of(words, crew, slot_row(slot))
        if slot in seen.fresh or memcmp(former, words, sizeof(words)) != 0:
            changes.append((slot, named(words), grown(words, former)))
            memcpy(former, words, sizeof(words))
    seen.fresh.difference_update(slots)
    return changes


# The counters of one row over all workers, then its connections and whether cookies are on.
cdef void words_of(uint64_t *words, const Crew *crew, uint32_t row) noexcept nogil:
    cdef const Worker *worker
    cdef uint32_t index
    memset(words, 0, WORDS_SEEN * sizeof(uint64_t))
    for index in range(crew.count):
        worker = crew.worker[index]
        add_rows(words, worker, row, 1)
        words[<uint32_t>WORD_CONNECTIONS] += activation_connections(
            &worker.proxy.rows[row].pulse, worker.proxy.sweep)
        words[<uint32_t>WORD_COOKIES] |= worker.proxy.rows[row].pulse.guarded


cdef dict grown(const uint64_t *words, const uint64_t *former):
    return {name: words[at] - former[at] for at, name in enumerate(NAMES)
            if words[at] != former[at]}


cdef list tally_cookies(const Crew *crew, uint32_t row):
    return [cookie_switch(crew.worker[index], row) for index in range(crew.count)]


cdef object cookie_switch(const Worker *worker, uint32_t row):
    cdef const Pulse *pulse = &worker.proxy.rows[row].pulse
    cdef uint64_t switched_ms = pulse.switched_ms
    cdef int64_t age_ms = <int64_t>(worker.proxy.now_ms - switched_ms)
    age_s = None if switched_ms == 0 else max(age_ms, 0) / 1e3
    return terms.CookieSwitch(bool(pulse.guarded), age_s)


cdef list tally_learned(const Crew *crew, const Snapshot *snapshot):
    cdef LearnedServer server
    cdef int64_t now_s = 0
    cdef uint32_t index, slot
    servers = []
    for index in range(crew.count):
        now_s = max(now_s, <int64_t>(crew.worker[index].proxy.now_ns // NS_PER_S))
    for slot in range(crew.learned.mask + 1):
        if learned_look(crew.learned, slot, &server):
            servers.append(learned_server(&server, snapshot, now_s))
    return servers


cdef object learned_server(const LearnedServer *server, const Snapshot *snapshot, int64_t now_s):
    cdef const Service *service = snapshot_match(snapshot, server.address, server.port)
    wscale = learned_wscale(server.word)
    return terms.LearnedServer(
        address=terms.address_of(server.address[:16]),
        port=server.port,
        slot=None if service == NULL or service.leaving else row_slot(service.row),
        mss=learned_mss(server.word),
        wscale=None if wscale == WSCALE_ABSENT else wscale,
        sack=bool(learned_sack(server.word)),
        timestamps=bool(learned_sent_timestamps(server.word)),
        age_s=max(now_s - <int64_t>server.noted_s, 0),     # noted since `now_s` was read
    )


cdef uint64_t tally_connections(const Crew *crew, uint32_t row):
    cdef uint64_t connections = 0
    cdef uint32_t index
    for index in range(crew.count):
        connections += activation_connections(
            &crew.worker[index].proxy.rows[row].pulse, crew.worker[index].proxy.sweep)
    return connections


cdef list tally_sweeps(const Crew *crew):
    return [crew.worker[index].proxy.sweep for index in range(crew.count)]


cdef object worker_stats(const Worker *worker, uint32_t rows):
    cdef uint64_t[COUNTERS_N] sums
    memset(sums, 0, sizeof(sums))
    add_rows(sums, worker, 0, rows)
    return terms.WorkerStats(
        lcore=worker.lcore_id,
        counters=named(sums),
        connections=worker.proxy.table.used,
        connections_max=worker.proxy.table.capacity,
        half_open=worker.proxy.half_open.awaiting,
        half_open_max=worker.proxy.half_open.capacity,
        generation=worker.progress.generation,
        # A part is read before its whole, which has grown in the meantime, if anything.
        busy_turns=worker.progress.busy_turns,
        turns=worker.progress.turns,
        busy_cycles=worker.progress.busy_cycles,
        cycles=worker.progress.now - worker.progress.began,
        handed_in=worker.progress.handed_in,
        handed_out=worker.progress.handed_out,
    )


cdef void add_rows(uint64_t *sums, const Worker *worker, uint32_t first,
                   uint32_t rows) noexcept nogil:
    cdef uint32_t row, counter
    for row in range(first, first + rows):
        for counter in range(COUNTERS_N):
            sums[counter] += worker.proxy.rows[row].counters[counter]


cdef dict named(const uint64_t *sums):
    return {name: sums[at] for at, name in enumerate(NAMES)}
