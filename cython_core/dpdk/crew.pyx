from libc.stdint cimport uint8_t, uint64_t
from libc.string cimport memcpy

from cython_core.dpdk.buffers cimport buffers_on
from cython_core.dpdk.capture cimport Capture
from cython_core.dpdk.handover cimport INBOX_FRAMES
from cython_core.dpdk.outlet cimport SIDES
from cython_core.dpdk.rte cimport (
    RING_F_SC_DEQ, rte_eal_remote_launch, rte_eal_wait_lcore, rte_free, rte_lcore_to_socket_id,
    rte_mbuf, rte_pktmbuf_free_bulk, rte_ring, rte_ring_create, rte_ring_dequeue_burst,
    rte_ring_free, rte_zmalloc_socket, shim_ended, shim_load_acquire64, shim_store_release32,
    shim_store_release_pointer,
)
from cython_core.dpdk.watchdog cimport watchdog_hasten, watchdog_start, watchdog_stop
from cython_core.dpdk.worker cimport Inlet, worker_run
from cython_core.proxy.conntable cimport (
    CONNTABLE_ALIGN, ConnTable, conntable_bytes, conntable_init,
)
from cython_core.proxy.counters cimport Row
from cython_core.proxy.early cimport EarlyPool, early_bytes, early_init
from cython_core.proxy.events cimport Events
from cython_core.proxy.half_open cimport HalfOpenPool, half_open_bytes, half_open_init
from cython_core.proxy.learned cimport learned_bytes, learned_init
from cython_core.proxy.links cimport Links, links_bytes
from cython_core.proxy.overtaken cimport Overtaken
from cython_core.proxy.pacers cimport Pacers
from cython_core.proxy.shard_file cimport Shard, shard_file_learned, shard_file_shard
from cython_core.proxy.sources cimport Sources
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SUPPLIES_MAX, SupplyPool, supply_init
from cython_core.proxy.synproxy cimport NS_PER_MS
from cython_core.wire.vector cimport vector_pick

from cython_core.dpdk.terms import DataplaneError


cdef Crew *crew_make(settings, ports, bytes table_key, Shards shards) except NULL:
    cdef uint32_t count = len(settings.worker_lcores)
    cdef uint32_t index
    cdef uint32_t servers = settings.servers
    cdef size_t rows = rows_of(settings)
    cdef Worker *worker
    cdef Crew *crew = <Crew *>take("the workers", sizeof(Crew), 0)
    crew.owners.workers = count
    crew.kept = shards.file != NULL
    try:
        crew.learned = learned_init(learned_take(shards, servers), servers)
        crew.answered_ms = <uint64_t *>take("what is answered", rows * sizeof(uint64_t), 0)
        for index in range(count):
            crew.worker[index] = worker_make(settings, index)
            crew.count = index + 1
        for index in range(count):
            worker = crew.worker[index]
            worker.orders = &crew.orders
            worker.owners = &crew.owners
            worker.proxy.learned = crew.learned
            worker.proxy.answered_ms = crew.answered_ms
            memcpy(worker.peer, crew.worker, sizeof(worker.peer))
            memcpy(&worker.proxy.table_key, <const uint8_t *>table_key,
                   sizeof(worker.proxy.table_key))
            shard_make(worker, settings, shards)
            connect(worker, ports)
    except DataplaneError:
        crew_free(crew)
        raise
    return crew


cdef Worker *worker_make(settings, uint32_t index) except NULL:
    cdef uint32_t lcore_id = settings.worker_lcores[index]
    cdef Worker *worker = <Worker *>take("a worker", sizeof(Worker),
                                         rte_lcore_to_socket_id(lcore_id))
    worker.lcore_id = lcore_id
    worker.index = index
    worker.count = len(settings.worker_lcores)
    worker.proxy.vector = vector_pick(settings.vector)
    return worker


# One of nobody's, one a service, and one for what leaves from its slot.
cdef size_t rows_of(settings) except 0:
    return 2 * settings.services + 1


# The worker's own part of the state.
cdef int shard_make(Worker *worker, settings, Shards shards) except -1:
    cdef int socket = rte_lcore_to_socket_id(worker.lcore_id)
    cdef uint32_t connections = max(settings.connections // worker.count, 1)
    cdef uint32_t half_open = max(settings.half_open // worker.count, 1)
    cdef uint32_t early = settings.early_segments // worker.count
    cdef size_t rows = rows_of(settings)
    cdef Shard shard = shard_take(worker, shards, connections, half_open, socket)
    cdef EarlyPool *pool
    worker.clock = shards.clock
    worker.proxy.table = conntable_init(shard.table, connections)
    worker.proxy.supplies = shard.supplies
    supply_init(worker.proxy.supplies, SUPPLIES_MAX)
    worker.proxy.superseded = shard.superseded
    pool = early_init(take(f"{early} segments of early data", early_bytes(early), socket), early)
    worker.proxy.half_open = half_open_init(
        shard.half_open, half_open, pool, shards.now_ns() // NS_PER_MS)
    worker.proxy.half_open.pacers = <Pacers *>take(
        "servers whose SYNs are paced", sizeof(Pacers), socket)
    worker.proxy.rows = <Row *>take("counters", rows * sizeof(Row), socket)
    worker.proxy.links = <Links *>take("the connections' links", links_bytes(connections), socket)
    worker.proxy.events = <Events *>take("events", sizeof(Events), socket)
    worker.proxy.overtaken = <Overtaken *>take("overtaken ACKs", sizeof(Overtaken), socket)
    worker.proxy.sources = <Sources *>take("sources of clients", sizeof(Sources), socket)
    worker.capture = <Capture *>take("a capture", sizeof(Capture), socket)
    return 0


# In the file, or in memory near to the worker.
cdef Shard shard_take(Worker *worker, Shards shards, uint32_t connections, uint32_t half_open,
                      int socket) except *:
    cdef Shard shard
    if shards.file != NULL:
        return shard_file_shard(shards.file, worker.index)
    # Each is the worker's as soon as it is there, so that it is given back if the next one isn't.
    shard.table = worker.proxy.table = <ConnTable *>take(
        f"a table of {connections} connections", conntable_bytes(connections), socket)
    shard.half_open = worker.proxy.half_open = <HalfOpenPool *>take(
        f"{half_open} half-open connections", half_open_bytes(half_open), socket)
    shard.supplies = worker.proxy.supplies = <SupplyPool *>take(
        "timestamps to supply", sizeof(SupplyPool), socket)
    shard.superseded = worker.proxy.superseded = <Superseded *>take(
        "superseded cookies", sizeof(Superseded), socket)
    return shard


cdef void *learned_take(Shards shards, uint32_t servers) except NULL:
    if shards.file != NULL:
        return shard_file_learned(shards.file)
    return take(f"what is learned of {servers} servers", learned_bytes(servers), 0)


# Queues: every count-th of the receive queues, and a transmit queue.  Where a port has fewer of
# these than there are workers, they share them; then a worker may wait for another one's burst.
cdef int connect(Worker *worker, ports) except -1:
    cdef uint32_t side
    cdef Inlet *inlet
    for side in range(SIDES):
        port = ports[side]
        inlet = &worker.inlet[side]
        inlet.port_id = port.port_id
        for queue_id in range(worker.index, port.rx_queues, worker.count):
            inlet.queue_id[inlet.queue_count] = queue_id
            inlet.queue_count += 1
        worker.outlet[side].port_id = port.port_id
        worker.outlet[side].queue_id = worker.index % <uint32_t>port.tx_queues
        if port.tx_queues < worker.count:
            worker.outlet[side].shared = &worker.peer[worker.outlet[side].queue_id].sending[side]
        worker.outlet[side].side = side
        if worker.count > 1:
            inlet.inbox = inbox_make(worker, side)
    worker.spares.pool = buffers_on(ports[0].socket)
    return 0


cdef rte_ring *inbox_make(Worker *worker, uint32_t side) except NULL:
    cdef rte_ring *ring
    name = f"inbox_{worker.index}_{side}".encode()
    ring = rte_ring_create(name, INBOX_FRAMES, rte_lcore_to_socket_id(worker.lcore_id),
                           RING_F_SC_DEQ)
    if ring == NULL:
        raise DataplaneError("no memory for the workers' inboxes: give more memory")
    return ring


cdef void *take(what, size_t size, int socket) except NULL:
    cdef void *block = rte_zmalloc_socket(NULL, size, CONNTABLE_ALIGN, socket)
    if block == NULL:
        raise DataplaneError(
            f"no memory for {what} ({(size >> 20) + 1} MiB): give more memory, or lower the"
            " limits")
    return block


cdef void crew_free(Crew *crew) noexcept:
    cdef uint32_t index, side
    cdef Worker *worker
    for index in range(crew.count):
        worker = crew.worker[index]
        for side in range(SIDES):
            inbox_drain(worker.inlet[side].inbox)
            rte_ring_free(worker.inlet[side].inbox)
        if worker.proxy.half_open != NULL:
            rte_free(worker.proxy.half_open.early)
            rte_free(worker.proxy.half_open.pacers)
        if not crew.kept:
            rte_free(worker.proxy.table)
            rte_free(worker.proxy.half_open)
            rte_free(worker.proxy.supplies)
            rte_free(worker.proxy.superseded)
        rte_free(worker.proxy.overtaken)
        rte_free(worker.proxy.sources)
        rte_free(worker.proxy.links)
        rte_free(worker.proxy.events)
        rte_free(worker.capture)
        rte_free(worker.proxy.rows)
        rte_free(worker)
    if not crew.kept:
        rte_free(crew.learned)
    rte_free(crew.answered_ms)
    rte_free(crew)


cdef int crew_launch(Crew *crew, int stall_exit, bint only_told, int last_words) except -1:
    cdef uint32_t index
    for index in range(crew.count):
        if rte_eal_remote_launch(worker_run, crew.worker[index],
                                 crew.worker[index].lcore_id) != 0:
            crew_stop(crew)
            raise DataplaneError(
                f"lcore {crew.worker[index].lcore_id} is at work already: name another worker")
        crew.launched = True
    try:
        watchdog_start(&crew.watchdog, crew.worker, crew.count, stall_exit, only_told,
                       last_words)
    except DataplaneError:
        crew_stop(crew)
        raise
    return 0


cdef void crew_publish(Crew *crew, const Snapshot *snapshot) noexcept:
    shim_store_release_pointer(<const void **>&crew.orders.snapshot, snapshot)


cdef uint64_t crew_generation(const Crew *crew) noexcept:
    cdef uint64_t oldest = shim_load_acquire64(&crew.worker[0].progress.generation)
    cdef uint32_t index
    for index in range(1, crew.count):
        oldest = min(oldest, shim_load_acquire64(&crew.worker[index].progress.generation))
    return oldest


cdef void crew_stop(Crew *crew) noexcept:
    cdef uint32_t index, side
    watchdog_hasten(&crew.watchdog)
    shim_store_release32(&crew.orders.stop, 1)
    for index in range(crew.count):
        with nogil:
            rte_eal_wait_lcore(crew.worker[index].lcore_id)
        shim_ended(crew.worker[index])
    watchdog_stop(&crew.watchdog)       # one that never returns would be waited for without end
    # Only now: one worker may have handed over to another that had ended.
    for index in range(crew.count):
        for side in range(SIDES):
            inbox_drain(crew.worker[index].inlet[side].inbox)
    crew.launched = False


cdef void inbox_drain(rte_ring *inbox) noexcept:
    cdef void *frame
    if inbox == NULL:
        return
    while rte_ring_dequeue_burst(inbox, &frame, 1, NULL) == 1:
        rte_pktmbuf_free_bulk(<rte_mbuf **>&frame, 1)
