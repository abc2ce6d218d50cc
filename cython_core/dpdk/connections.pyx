"""The connections of all workers, looked at while they run.

The control thread copies entries as they stand (proxy/conntable, conntable_look): no worker waits,
or notices.  An entry keeps its place as long as its connection lasts, so that a look through the
places meets each connection that was there all the while, and once.
"""

from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from cython_core.dpdk.commands cimport (
    COMMANDS, Command, commands_answer, commands_give, commands_room,
)
from cython_core.dpdk.owners cimport owner_of
from cython_core.dpdk.worker cimport Worker
from cython_core.proxy.conntable cimport (
    ACTIVITY_TICK_S, CONN_CLIENT_FIN, CONN_PASSES, CONN_SERVER_FIN, CONN_SUPPLIED,
    CONN_TIMESTAMPS, Connection, ConnTable, conntable_look, conntable_words,
)
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.slots cimport row_slot
from cython_core.wire.prefix cimport Prefix, prefix_covers, prefix_set
from cython_core.wire.segment cimport Flow
from cython_core.wire.seq cimport ticks_since
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

from cython_core.dpdk import terms
from cython_core.proxy.conntable import STATES


cdef struct Wanted:
    uint32_t service            # its slot, plus 1; or 0: of any, or none
    uint32_t states             # a bit for each ConnState
    Prefix client
    Prefix server


cdef tuple connections_take(const Crew *crew, const Snapshot *snapshot, wanted, uint32_t worker,
                            uint32_t at, uint32_t steps, uint32_t room):
    cdef const ConnTable *table = crew.worker[worker].proxy.table
    cdef uint32_t end = min(table.fresh, at + steps)
    cdef uint32_t found = 0
    cdef uint32_t one
    cdef Wanted compiled
    cdef Connection *seen = <Connection *>malloc(room * sizeof(Connection))
    if seen == NULL:
        raise MemoryError
    try:
        wanted_compile(&compiled, wanted)
        while at < end and found < room:
            if (conntable_look(table, at, &seen[found])
                    and is_wanted(&seen[found], &compiled, snapshot)):
                found += 1
            at += 1
        connections = [told(&seen[one], crew.worker[worker], snapshot) for one in range(found)]
    finally:
        free(seen)
    return connections, at if at < table.fresh else None


cdef int wanted_compile(Wanted *compiled, wanted) except -1:
    memset(compiled, 0, sizeof(Wanted))
    compiled.service = 0 if wanted.slot is None else <uint32_t>wanted.slot + 1
    for state in wanted.states or STATES:
        compiled.states |= <uint32_t>1 << <uint32_t>STATES.index(state)
    prefix_compile(&compiled.client, wanted.client)
    prefix_compile(&compiled.server, wanted.server)
    return 0


cdef int prefix_compile(Prefix *prefix, given) except -1:
    cdef bytes address
    if given is not None:
        address, bits = given
        prefix_set(prefix, <const uint8_t *>address, bits)
    return 0


cdef bint is_wanted(const Connection *conn, const Wanted *wanted,
                    const Snapshot *snapshot) noexcept nogil:
    cdef const Service *service
    if not (wanted.states >> conn.state & 1
            and prefix_covers(&wanted.client, conn.flow.client_address)
            and prefix_covers(&wanted.server, conn.flow.server_address)):
        return False
    if wanted.service == 0:
        return True
    service = snapshot_match(snapshot, conn.flow.server_address, conn.flow.server_port)
    return service != NULL and row_slot(service.row) + 1 == wanted.service


cdef object told(const Connection *conn, const Worker *worker, const Snapshot *snapshot):
    cdef const Service *service = snapshot_match(
        snapshot, conn.flow.server_address, conn.flow.server_port)
    cdef uint16_t idle = ticks_since(conn.active, worker.proxy.now_active)
    return terms.Connection(
        client=terms.address_of(conn.flow.client_address[:16]), client_port=conn.flow.client_port,
        server=terms.address_of(conn.flow.server_address[:16]), server_port=conn.flow.server_port,
        slot=None if service == NULL else row_slot(service.row),
        leaving=service != NULL and service.leaving,
        lcore=worker.lcore_id,
        state=STATES[conn.state],
        passes=bool(conn.flags & CONN_PASSES),
        client_fin=bool(conn.flags & CONN_CLIENT_FIN),
        server_fin=bool(conn.flags & CONN_SERVER_FIN),
        idle_s=<uint32_t>idle * ACTIVITY_TICK_S,
        seq_offset=conn.seq_offset,
        timestamps="supplied" if conn.flags & CONN_SUPPLIED
        else "translated" if conn.flags & CONN_TIMESTAMPS else "none",
    )


# Places of the ring are given out anew only once their commands are done, and their answers have
# been taken up or are wanted no more.
cdef object connections_delete(Crew *crew, flow, set open):
    cdef uint64_t[SIPHASH_WORDS] words
    cdef Flow key
    cdef Worker *worker
    flow_set(&key, flow)
    conntable_words(words, 1, &key)
    worker = crew.worker[owner_of(
        &crew.owners, siphash_words(words, &crew.worker[0].proxy.table_key), &key)]
    if not commands_room(&worker.commands) or any(
            index == worker.index and number + COMMANDS <= worker.commands.given
            for index, number in open):
        return None
    return worker.index, commands_give(&worker.commands, &key)


cdef int flow_set(Flow *key, flow) except -1:
    cdef bytes client, server
    client, key.client_port, server, key.server_port = flow
    memcpy(key.client_address, <const uint8_t *>client, 16)
    memcpy(key.server_address, <const uint8_t *>server, 16)
    return 0


cdef tuple connections_deleted(const Crew *crew, const Snapshot *snapshot, uint32_t worker,
                               uint64_t number):
    cdef const Command *command = commands_answer(&crew.worker[worker].commands, number)
    if command == NULL:
        return False, None
    return True, told(&command.was, crew.worker[worker], snapshot) if command.found else None
