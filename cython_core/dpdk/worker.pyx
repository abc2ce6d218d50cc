from libc.stdint cimport uint8_t

from cython_core.dpdk.capture cimport capture_decided, capture_received
from cython_core.dpdk.clock cimport clock_ns
from cython_core.dpdk.commands cimport commands_run
from cython_core.dpdk.handover cimport inbox_receive, steer
from cython_core.dpdk.outlet cimport (
    NOWHERE, SIDE_CLIENT, SIDE_SERVER, outbox_empty, outbox_fill, outbox_free, outlet_bridge,
    outlet_put, outlets_flush, outlets_reserve,
)
from cython_core.dpdk.rte cimport (
    rte_eth_rx_burst, rte_gettid, rte_pause, rte_prefetch0, rte_rdtsc, shim_ending,
    shim_load_acquire32, shim_load_acquire_pointer, shim_mbuf_data, shim_store_release32,
    shim_store_release64,
)
from cython_core.dpdk.stages cimport (
    STAGE_ADMIT, STAGE_DECIDE, STAGE_HASH, STAGE_MATCH, STAGE_PARSE, STAGE_PROVE, STAGE_RECEIVE,
    STAGE_SEND, STAGE_STEER, STAGE_TEND, STAGE_TRANSMIT, STAGE_TURN, STAGE_VERIFY, STAGE_VIEW,
    stage_end, stages_begin,
)
from cython_core.proxy.burst cimport (
    burst_admit, burst_decide, burst_hash, burst_match, burst_parse, burst_prove,
    burst_verify,
)
from cython_core.proxy.synproxy cimport (
    OUTBOX_FRAMES, VERDICT_BRIDGE, VERDICT_NONE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER,
    VERDICT_TRANSLATE, proxy_clock, proxy_snapshot,
)
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.segment cimport Segment


cdef int worker_run(void *argument) noexcept nogil:
    cdef Worker *worker = <Worker *>argument
    worker.thread_id = rte_gettid()
    worker.progress.began = rte_rdtsc()
    worker.progress.now = worker.progress.began
    while not shim_load_acquire32(&worker.orders.stop):
        worker_turn(worker)
    outbox_free(&worker.proxy, &worker.spares)
    shim_ending(worker)
    return 0


cdef inline void worker_turn(Worker *worker) noexcept nogil:
    cdef uint64_t began = rte_rdtsc()
    cdef uint32_t frames = 0
    cdef uint32_t due
    cdef uint32_t side, i
    stages_begin(&worker.stages, began)
    proxy_clock(&worker.proxy, clock_ns(&worker.clock, began))
    snapshot_take(worker)
    capture_follow(worker)
    stage_end(&worker.stages, STAGE_TURN)
    for side in range(SIDES):
        for i in range(worker.inlet[side].queue_count):
            queue_receive(worker, &worker.inlet[side], worker.inlet[side].queue_id[i])
            frames += burst_through(worker, side)
        if worker.inlet[side].inbox != NULL:
            inbox_receive(worker, side)
            stage_end(&worker.stages, STAGE_RECEIVE)
            frames += burst_through(worker, side)
    prepare_way_out(worker, 0)
    stage_end(&worker.stages, STAGE_TRANSMIT)
    commands_run(&worker.commands, &worker.proxy)
    due = proxy_tend(&worker.proxy)
    outbox_empty(&worker.proxy, &worker.spares, worker.outlet)
    stage_end(&worker.stages, STAGE_TEND)
    outlets_flush(worker.outlet, &worker.proxy)
    stage_end(&worker.stages, STAGE_TRANSMIT)
    account(worker, began, frames + due)
    stage_end(&worker.stages, STAGE_TURN)


# From here on nothing of an older snapshot is read: that is what the generation tells.
cdef inline void snapshot_take(Worker *worker) noexcept nogil:
    cdef const Snapshot *snapshot = <const Snapshot *>shim_load_acquire_pointer(
        <const void *const *>&worker.orders.snapshot)
    if worker.progress.generation != snapshot.generation:
        proxy_snapshot(&worker.proxy, snapshot)
        shim_store_release64(&worker.progress.generation, snapshot.generation)


cdef inline void capture_follow(Worker *worker) noexcept nogil:
    cdef uint32_t capture = shim_load_acquire32(&worker.orders.capture)
    if worker.progress.capture != capture:
        capture_switch(worker, capture)
    if worker.captures:
        worker.capture.now_ns = worker.proxy.now_ns
        worker.capture.snapshot = worker.proxy.snapshot


# From here on nothing of the filter is read but the worker's copy.
cdef void capture_switch(Worker *worker, uint32_t capture) noexcept nogil:
    cdef uint32_t side
    worker.captures = capture & 1
    if worker.captures:
        worker.capture.filter = worker.orders.capture_filter[0]
        worker.capture.pending = 0
    for side in range(SIDES):
        worker.outlet[side].capture = worker.capture if worker.captures else NULL
    shim_store_release32(&worker.progress.capture, capture)


cdef inline void queue_receive(Worker *worker, const Inlet *inlet,
                               uint16_t queue_id) noexcept nogil:
    worker.burst.handed = False
    worker.burst.count = rte_eth_rx_burst(inlet.port_id, queue_id, worker.mbuf, RECEIVE_FRAMES)
    stage_end(&worker.stages, STAGE_RECEIVE)


# All the stages, for what was received from one side.  Returns how many frames that was.
cdef inline uint32_t burst_through(Worker *worker, uint32_t side) noexcept nogil:
    cdef Burst *burst = &worker.burst
    if burst.count == 0:
        return 0
    worker.progress.bursts += 1
    worker.progress.frames += burst.count
    burst.from_client = side == SIDE_CLIENT
    prepare_way_out(worker, burst.count)
    stage_end(&worker.stages, STAGE_TRANSMIT)
    burst_view(worker)
    stage_end(&worker.stages, STAGE_VIEW)
    burst_parse(burst, &worker.proxy)
    if worker.captures:
        capture_received(worker.capture, burst)
    stage_end(&worker.stages, STAGE_PARSE)
    burst_admit(burst, &worker.proxy)
    stage_end(&worker.stages, STAGE_ADMIT)
    burst_verify(burst, &worker.proxy)
    stage_end(&worker.stages, STAGE_VERIFY)
    burst_hash(burst, &worker.proxy)
    stage_end(&worker.stages, STAGE_HASH)
    if worker.count > 1:
        steer(worker, side)
        stage_end(&worker.stages, STAGE_STEER)
    burst_match(burst, &worker.proxy)
    stage_end(&worker.stages, STAGE_MATCH)
    burst_prove(burst, &worker.proxy)
    stage_end(&worker.stages, STAGE_PROVE)
    burst_decide(burst, &worker.proxy)
    if worker.captures:
        capture_decided(worker.capture, burst)
    stage_end(&worker.stages, STAGE_DECIDE)
    outbox_empty(&worker.proxy, &worker.spares, worker.outlet)
    burst_send(worker, side)
    stage_end(&worker.stages, STAGE_SEND)
    return burst.count


# Spare frames for the outbox, and room in the outlets for all of them and `frames` more.
cdef inline void prepare_way_out(Worker *worker, uint32_t frames) noexcept nogil:
    outbox_fill(&worker.proxy, &worker.spares)
    outlets_reserve(worker.outlet, frames + OUTBOX_FRAMES, &worker.proxy)


# Frames in their mbufs, as floor 2 sees them.  A frame too long for one mbuf comes as a chain
# of them; it is shown as empty, and so dropped as truncated.
cdef inline void burst_view(Worker *worker) noexcept nogil:
    cdef const rte_mbuf *mbuf
    cdef Segment *segment
    cdef uint32_t i
    for i in range(worker.burst.count):
        mbuf = worker.mbuf[i]
        segment = &worker.burst.segment[i]
        segment.frame = shim_mbuf_data(mbuf)
        segment.frame_bytes = mbuf.data_len if mbuf.nb_segs == 1 else 0
        segment.room_bytes = mbuf.buf_len - mbuf.data_off
        rte_prefetch0(segment.frame)


cdef inline void burst_send(Worker *worker, uint32_t side) noexcept nogil:
    cdef rte_mbuf *mbuf
    cdef uint8_t verdict
    cdef uint32_t i
    for i in range(worker.burst.count):
        verdict = worker.burst.verdict[i]
        if verdict == VERDICT_NONE:         # another worker has it
            continue
        mbuf = worker.mbuf[i]
        if verdict != VERDICT_BRIDGE:
            mbuf.data_len = worker.burst.segment[i].frame_bytes
            mbuf.pkt_len = mbuf.data_len
        elif worker.burst.others >> i & 1:
            outlet_bridge(&worker.outlet[way_out(side, verdict)], mbuf)
            continue
        outlet_put(&worker.outlet[way_out(side, verdict)], mbuf)


cdef inline uint32_t way_out(uint32_t side, uint8_t verdict) noexcept nogil:
    if verdict == VERDICT_TO_CLIENT:
        return SIDE_CLIENT
    if verdict == VERDICT_TO_SERVER:
        return SIDE_SERVER
    if verdict == VERDICT_BRIDGE or verdict == VERDICT_TRANSLATE:
        return SIDE_SERVER if side == SIDE_CLIENT else SIDE_CLIENT
    return NOWHERE


# `work`: what the turn had to do, frames and timers; all else is polling.
cdef inline void account(Worker *worker, uint64_t began, uint32_t work) noexcept nogil:
    cdef uint64_t now = rte_rdtsc()
    worker.progress.turns += 1
    worker.progress.now = now
    if work > 0:
        worker.progress.busy_turns += 1
        worker.progress.busy_cycles += now - began
        worker.idle_turns = 0
        return
    worker.idle_turns += 1
    if worker.idle_turns > IDLE_TURNS:
        rte_pause()
