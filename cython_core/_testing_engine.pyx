from libc.stdlib cimport calloc, malloc
from libc.string cimport memcmp, memcpy, memset

from cython_core._testing_structs cimport block, master_of
from cython_core.proxy.burst cimport burst_run
from cython_core.proxy.conntable cimport (
    CONN_PASSES, CONN_WINDOW_TOLD, STATE_SYN_SENT, STATE_TIME_WAIT, Connection, conntable_bytes,
    conntable_entry, conntable_find, conntable_init, conntable_words, flow_equal,
)
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S
from cython_core.proxy.counters cimport (
    BRIDGED, CONSUMED, COUNTERS_N, DROP_END, DROP_FIRST, ORIGINATED, RECEIVED, TRANSLATED, Row,
)
from cython_core.proxy.deletion cimport connection_delete
from cython_core.proxy.early cimport early_bytes, early_init
from cython_core.proxy.events cimport Events
from cython_core.proxy.half_open cimport half_open_bytes, half_open_init
from cython_core.proxy.handshake cimport COMPOSED_BYTES_MAX
from cython_core.proxy.learned cimport learned_bytes, learned_init
from cython_core.proxy.links cimport Links, links_bytes
from cython_core.proxy.overtaken cimport Overtaken
from cython_core.proxy.pacers cimport Pacers
from cython_core.proxy.secrets cimport secrets_rotate
from cython_core.proxy.service cimport Service, snapshot_free, snapshot_match
from cython_core.proxy.sources cimport Sources
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SupplyPool, supply_init
from cython_core.proxy.synproxy cimport (
    NS_PER_MS, VERDICT_ABSORB, VERDICT_BRIDGE, VERDICT_NONE, VERDICT_TO_SERVER, VERDICT_TRANSLATE,
    proxy_clock, proxy_snapshot,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.checksum cimport checksum_add, checksum_fold
from cython_core.wire.segment cimport (
    FAULT_NONE, FRAME_BYTES_MIN, KIND_ICMP_ERROR, KIND_TCP, Flow, segment_flow, segment_parse,
    segments_verify,
)
from cython_core.wire.seq cimport ticks_since
from cython_core.wire.siphash cimport SIPHASH_WORDS, SipKey, siphash_words
from cython_core.wire.vector cimport vector_pick


cdef Engine *engine_new(uint64_t now_ms, Snapshot *snapshot) except NULL:
    cdef Engine *engine = <Engine *>calloc(1, sizeof(Engine))
    cdef Proxy *proxy = &engine.proxy
    cdef uint32_t at
    master_of(&proxy.secrets, (1, 2))
    proxy.table_key.k0, proxy.table_key.k1 = 3, 4
    proxy.vector = vector_pick("auto")
    proxy.table = conntable_init(block(conntable_bytes(CONNECTIONS)), CONNECTIONS)
    proxy.half_open = half_open_init(
        calloc(1, half_open_bytes(HALF_OPEN)), HALF_OPEN,
        early_init(calloc(1, early_bytes(EARLY)), EARLY), now_ms)
    proxy.half_open.pacers = <Pacers *>calloc(1, sizeof(Pacers))
    proxy.rows = <Row *>calloc(ROWS, sizeof(Row))
    proxy.supplies = <SupplyPool *>calloc(1, sizeof(SupplyPool))
    supply_init(proxy.supplies, SUPPLIES)
    proxy.superseded = <Superseded *>calloc(1, sizeof(Superseded))
    proxy.overtaken = <Overtaken *>calloc(1, sizeof(Overtaken))
    proxy.sources = <Sources *>calloc(1, sizeof(Sources))
    proxy.links = <Links *>calloc(1, links_bytes(CONNECTIONS))
    proxy.events = <Events *>calloc(1, sizeof(Events))
    proxy.learned = learned_init(block(learned_bytes(SERVERS)), SERVERS)
    proxy.answered_ms = <uint64_t *>calloc(ROWS, sizeof(uint64_t))
    for at in range(BURST_FRAMES):
        engine.buffer[at] = <uint8_t *>calloc(1, ROOM_BYTES)
        engine.came[at] = <uint8_t *>calloc(1, ROOM_BYTES)
    for at in range(OUTBOX_FRAMES):
        engine.spare[at] = <uint8_t *>calloc(1, ROOM_BYTES)
        proxy.outbox.frame[at] = engine.spare[at]
    proxy.outbox.ready = OUTBOX_FRAMES
    engine.snapshot = engine.first_snapshot = snapshot
    engine.snapshot.secrets = proxy.secrets
    proxy_snapshot(proxy, engine.snapshot)
    engine_clock(engine, now_ms)
    blocks_keep(engine)
    return engine


# What the rest holds is written before it is read, or as good as any other.
cdef int blocks_keep(Engine *engine) except -1:
    cdef Proxy *proxy = &engine.proxy
    cdef uint32_t at
    engine.first = proxy[0]
    blocks = [
        (<size_t>proxy.table, proxy.table.bytes),
        (<size_t>proxy.half_open, half_open_bytes(HALF_OPEN)),
        (<size_t>proxy.half_open.early, early_bytes(0)),
        (<size_t>proxy.rows, ROWS * sizeof(Row)),
        (<size_t>proxy.supplies, sizeof(SupplyPool) - sizeof(proxy.supplies.supplies)),
        (<size_t>proxy.links, links_bytes(CONNECTIONS)),
        (<size_t>proxy.events, sizeof(Events) - sizeof(proxy.events.event)),
        (<size_t>proxy.learned, learned_bytes(SERVERS)),
        (<size_t>proxy.answered_ms, ROWS * sizeof(uint64_t)),
    ]
    for at, (address, length) in enumerate(blocks):
        engine.block[at].now = <void *><size_t>address
        engine.block[at].length = length
        engine.block[at].first = malloc(length)
        memcpy(engine.block[at].first, engine.block[at].now, length)
    return 0


cdef void engine_reset(Engine *engine) noexcept nogil:
    cdef uint32_t at
    for at in range(BLOCKS):
        memcpy(engine.block[at].now, engine.block[at].first, engine.block[at].length)
    memset(engine.proxy.superseded, 0, sizeof(Superseded))
    memset(engine.proxy.overtaken, 0, sizeof(Overtaken))
    memset(engine.proxy.sources, 0, sizeof(Sources))
    memset(engine.proxy.half_open.pacers, 0, sizeof(Pacers))
    if engine.snapshot != engine.first_snapshot:
        snapshot_free(engine.snapshot)
        engine.snapshot = engine.first_snapshot
    engine.proxy = engine.first
    engine.burst.count = 0
    engine.left = 0


cdef void engine_clock(Engine *engine, uint64_t now_ms) noexcept nogil:
    proxy_clock(&engine.proxy, now_ms * NS_PER_MS)


cdef void engine_publish(Engine *engine, Snapshot *snapshot) noexcept nogil:
    cdef Snapshot *former = engine.snapshot
    snapshot.secrets = former.secrets
    engine.snapshot = snapshot
    proxy_snapshot(&engine.proxy, snapshot)
    if former != engine.first_snapshot:
        snapshot_free(former)


cdef void engine_rotate(Engine *engine, uint64_t master, uint32_t epochs) noexcept nogil:
    cdef SipKey key
    key.k0 = master
    key.k1 = ~master
    secrets_rotate(&engine.snapshot.secrets, <const uint8_t *>&key,
                   <uint32_t>(engine.proxy.now_ms // 1000 // COOKIE_EPOCH_S) + 1 + epochs)
    proxy_snapshot(&engine.proxy, engine.snapshot)


cdef uint8_t *engine_next(Engine *engine) noexcept nogil:
    return engine.came[engine.burst.count]


# The frame's room ends where its buffer does.
cdef void engine_add(Engine *engine, uint16_t frame_bytes, bint tight) noexcept nogil:
    cdef uint32_t at = engine.burst.count
    cdef Segment *segment = &engine.burst.segment[at]
    segment.room_bytes = ROOM_BYTES
    if tight:
        segment.room_bytes = max(frame_bytes, <uint16_t>COMPOSED_BYTES_MAX)
    segment.frame = engine.buffer[at] + ROOM_BYTES - segment.room_bytes
    segment.frame_bytes = frame_bytes
    memcpy(segment.frame, engine.came[at], frame_bytes)
    engine.came_bytes[at] = frame_bytes
    engine.burst.count += 1


cdef const char *engine_run(Engine *engine) noexcept nogil:
    cdef const char *wrong = NULL
    cdef uint32_t at
    engine.sent_count = 0
    actives_note(engine)
    burst_run(&engine.burst, &engine.proxy)
    wrong = outbox_judge(engine)
    for at in range(engine.burst.count):
        if wrong == NULL:
            wrong = frame_judge(engine, at)
    if wrong == NULL and engine.burst.from_client:
        wrong = echo_judge(engine)
    if wrong == NULL:
        wrong = room_judge(engine)
    engine.burst.count = 0
    return wrong if wrong != NULL else books_judge(engine)


cdef const char *engine_tend(Engine *engine) noexcept nogil:
    cdef const char *wrong
    engine.sent_count = 0
    proxy_tend(&engine.proxy)
    wrong = outbox_judge(engine)
    return wrong if wrong != NULL else books_judge(engine)


cdef const char *engine_delete(Engine *engine, const Segment *of_client) noexcept nogil:
    cdef Connection was
    cdef Flow flow
    engine.sent_count = 0
    segment_flow(of_client, True, &flow)
    connection_delete(&engine.proxy, &flow, &was)
    return outbox_judge(engine)


cdef const char *outbox_judge(Engine *engine) noexcept nogil:
    cdef const char *wrong
    cdef Segment segment
    cdef uint32_t at
    if engine.proxy.outbox.filled > engine.proxy.outbox.ready:
        return "more spare frames were filled than there were"
    for at in range(engine.proxy.outbox.filled):
        if engine.proxy.outbox.frame[at] != engine.spare[at]:
            return "a spare frame has lost its place"
        segment.frame = engine.spare[at]
        segment.frame_bytes = engine.proxy.outbox.frame_bytes[at]
        wrong = made_judge(&segment, FRAME_BYTES_MIN)
        if wrong != NULL:
            return wrong
        sent_note(engine, &segment, engine.proxy.outbox.to_server[at])
    engine.proxy.outbox.filled = 0
    return NULL


cdef void sent_note(Engine *engine, const Segment *segment, bint to_server) noexcept nogil:
    engine.sent[engine.sent_count].segment = segment[0]
    engine.sent[engine.sent_count].to_server = to_server
    engine.sent_count += 1
    engine.left += 1


cdef const char *frame_judge(Engine *engine, uint32_t at) noexcept nogil:
    cdef Segment *segment = &engine.burst.segment[at]
    cdef uint8_t verdict = engine.burst.verdict[at]
    cdef bint to_server = engine.burst.from_client
    cdef const char *wrong = NULL
    if segment.frame != engine.buffer[at] + ROOM_BYTES - segment.room_bytes:
        return "a frame has lost its buffer"
    if segment.frame_bytes > segment.room_bytes:
        return "a frame has grown beyond its room"
    if verdict == VERDICT_NONE or verdict >= DROP_END:
        return "a frame has no verdict"
    if verdict >= DROP_FIRST or verdict == VERDICT_ABSORB:
        return NULL
    if verdict == VERDICT_BRIDGE:
        if (segment.frame_bytes != engine.came_bytes[at]
                or memcmp(segment.frame, engine.came[at], segment.frame_bytes) != 0):
            return "a bridged frame is not as it came"
    elif verdict == VERDICT_TRANSLATE:
        wrong = translated_judge(segment, engine.came[at])
    else:
        to_server = verdict == VERDICT_TO_SERVER
        wrong = made_judge(segment, min(engine.came_bytes[at], <uint16_t>FRAME_BYTES_MIN))
    if wrong == NULL:
        sent_note(engine, segment, to_server)
    return wrong


# Of the proxy's own making, or early data that is said on.  An answer is no longer than what it
# answers, which a virtual interface may have brought without padding.
cdef const char *made_judge(Segment *segment, uint16_t least) noexcept nogil:
    if segment.frame_bytes < least:
        return "a frame of ours is shorter than Ethernet's least"
    return tcp_judge(segment)


cdef const char *tcp_judge(Segment *segment) noexcept nogil:
    if segment_parse(segment) != KIND_TCP:
        return "what leaves is no TCP"
    if segment.fault != FAULT_NONE:
        return "what leaves has a fault"
    if segments_verify(0)(segment, 1) != 0:
        return "what leaves has a wrong TCP checksum"
    return NULL


# An ICMP error's checksum may have been wrong as it came, and is then as wrong as it was.
cdef const char *translated_judge(Segment *segment, uint8_t *came) noexcept nogil:
    if segment.kind == KIND_TCP:
        return tcp_judge(segment)
    if segment.kind != KIND_ICMP_ERROR:
        return "what was translated is neither TCP nor an ICMP error"
    if (checksum_fold(checksum_add(segment.frame + segment.l4, segment.l4_bytes, 0)) % 0xFFFF
            != checksum_fold(checksum_add(came + segment.l4, segment.l4_bytes, 0)) % 0xFFFF):
        return "an ICMP error's checksum was mended wrongly"
    return NULL


cdef const char *echo_judge(const Engine *engine) noexcept nogil:
    cdef uint32_t frames = 0
    cdef uint32_t frame_bytes = 0
    cdef uint32_t came_bytes = 0
    cdef uint32_t at
    for at in range(engine.sent_count):
        if not engine.sent[at].to_server:
            frames += 1
            frame_bytes += engine.sent[at].segment.frame_bytes
    for at in range(engine.burst.count):
        came_bytes += max(engine.came_bytes[at], <uint16_t>FRAME_BYTES_MIN)
    if frames > engine.burst.count or frame_bytes > came_bytes:
        return "more went to clients than came from them"
    return NULL


cdef void actives_note(Engine *engine) noexcept nogil:
    cdef const Proxy *proxy = &engine.proxy
    cdef const Connection *conn
    cdef const Service *service
    cdef uint32_t at
    engine.active_count = 0
    for at in range(proxy.table.fresh):
        conn = conntable_entry(proxy.table, at)
        service = snapshot_match(proxy.snapshot, conn.flow.server_address, conn.flow.server_port)
        if (STATE_SYN_SENT < conn.state < STATE_TIME_WAIT and service != NULL
                and conn.flags & (CONN_WINDOW_TOLD | CONN_PASSES)
                and ticks_since(conn.active, proxy.now_active) <= service.active_ticks):
            engine.active[engine.active_count] = conn.flow
            engine.active_count += 1


# What says a segment in this burst may have ended by it.
cdef const char *room_judge(Engine *engine) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef const Flow *flow
    cdef uint32_t at
    for at in range(engine.active_count):
        flow = &engine.active[at]
        conntable_words(words, 1, flow)
        if (conntable_find(engine.proxy.table, siphash_words(words, &engine.proxy.table_key),
                           flow) == NULL and not came_any(engine, flow)):
            return "an active connection made room"
    return NULL


cdef bint came_any(Engine *engine, const Flow *flow) noexcept nogil:
    cdef Segment segment
    cdef Flow of_segment
    cdef uint32_t at
    for at in range(engine.burst.count):
        segment.frame = engine.came[at]
        segment.frame_bytes = engine.came_bytes[at]
        if segment_parse(&segment) != KIND_TCP:
            continue
        segment_flow(&segment, engine.burst.from_client, &of_segment)
        if flow_equal(&of_segment, flow):
            return True
    return False


cdef const char *books_judge(const Engine *engine) noexcept nogil:
    cdef uint64_t sums[COUNTERS_N]
    cdef uint64_t passed, fates
    cdef uint32_t row, at
    memset(sums, 0, sizeof(sums))
    for row in range(ROWS):
        for at in range(COUNTERS_N):
            sums[at] += engine.proxy.rows[row].counters[at]
    passed = sums[<uint32_t>BRIDGED] + sums[<uint32_t>TRANSLATED]
    fates = passed + sums[<uint32_t>CONSUMED]
    for at in range(DROP_FIRST, DROP_END):
        fates += sums[at]
    if sums[<uint32_t>RECEIVED] != fates:
        return "a frame has no fate, or several"
    if passed + sums[<uint32_t>ORIGINATED] != engine.left:
        return "what left is not what was counted"
    return NULL
