from libc.stdint cimport uint8_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, memset

from cython_core.proxy.conntable cimport (
    CONN_CLIENT_FIN, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SERVER_FIN, CONN_TIMESTAMPS,
    CONNTABLE_ALIGN, STATE_CLIENT_RESET, STATE_CLOSED, STATE_DELETED, STATE_ESTABLISHED, STATE_FREE,
    STATE_HALF_CLOSED, STATE_REFUSED, STATE_SERVER_RESET, STATE_SYN_SENT, STATE_TIME_WAIT,
)
from cython_core.proxy.routes cimport MAPPED_BITS, Routes, Rule, routes_build, routes_release
from cython_core.proxy.service cimport snapshot_build
from cython_core.proxy.shard_file cimport (
    BOOT_ID_BYTES, ClockBase, shard_file_bytes, shard_file_init,
)
from cython_core.wire.cache cimport aligned_alloc

from cython_core.proxy.service import ACTIVATIONS, UNKNOWN_FLOWS

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


cdef int master_of(Secrets *secrets, master) except -1:
    memset(secrets, 0, sizeof(Secrets))
    secrets.secret[0].master.k0, secrets.secret[0].master.k1 = master
    return 0


cdef ShardFile *file_in(memory, const Shape *shape) except NULL:
    cdef uint8_t[::1] view = memory
    cdef uint8_t[BOOT_ID_BYTES] boot_id
    cdef ClockBase clock
    assert view.shape[0] >= <Py_ssize_t>shard_file_bytes(shape)
    memset(&view[0], 0, view.shape[0])
    memset(boot_id, 0, sizeof(boot_id))
    memset(&clock, 0, sizeof(clock))
    return shard_file_init(&view[0], shape, boot_id, &clock)


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


cdef Snapshot *snapshot_of(services) except NULL:
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
    service.wscale_older = fields["wscale_older"]
    service.wscale_former_epochs = fields["wscale_former_epochs"]
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
    service.active_ticks = fields["active_ticks"]
    service.open_rate = fields["open_rate"]
    service.open_burst = fields["open_burst"]
    service.source_rate = fields["source_rate"]
    service.source_burst = fields["source_burst"]
    service.pacing_rate = fields["pacing_rate"]
    service.pacing_burst = fields["pacing_burst"]
    service.pacing_wait_ms = fields["pacing_wait_ms"]
    service.source_bits = MAPPED_BITS + fields["source_prefix"]
    service.source_bits_ipv6 = fields["source_prefix_ipv6"]
    return service


cdef Flow flow_of(flow) except *:
    cdef Flow key
    client, key.client_port, server, key.server_port = flow
    memcpy(key.client_address, <const uint8_t *>client, 16)
    memcpy(key.server_address, <const uint8_t *>server, 16)
    return key
