from cython_core.proxy.activation cimport (
    activation_note_adoption, activation_note_synack, activation_passes, activation_take_unknown,
    activation_takes_cookies,
)
from cython_core.proxy.conntable cimport (
    CONN_CLIENT_FIN, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SERVER_FIN, STATE_ESTABLISHED,
    Connection, entry_begin, entry_end,
)
from cython_core.proxy.counters cimport (
    CONN_ADOPTED, COOKIE_INVALID, NO_CONNECTION, RST_PREMATURE, SYNACK_UNEXPECTED,
    UNKNOWN_FORWARDED, UNKNOWN_RATE, UNKNOWN_RESET, count,
)
from cython_core.proxy.handshake cimport Envelope, envelope_reverse, envelope_take
from cython_core.proxy.links cimport links_note
from cython_core.proxy.overtaken cimport overtaken_note, overtaken_waits
from cython_core.proxy.pulse cimport Pulse
from cython_core.proxy.room cimport ROOM_ENDED, room_enter
from cython_core.proxy.service cimport UNKNOWN_DROP, UNKNOWN_FORWARD, UNKNOWN_RESET_IT
from cython_core.proxy.supply cimport supply_release
from cython_core.proxy.synproxy cimport (
    VERDICT_BRIDGE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER, connection_fin, connection_remove,
    pulse_of, sender_reset,
)
from cython_core.wire.segment cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, segment_length
from cython_core.wire.seq cimport seq_max


cdef uint8_t unknown_client(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest) noexcept nogil:
    cdef Pulse *pulse = pulse_of(proxy, service)
    cdef uint8_t policy = service.unknown_flow
    if policy != UNKNOWN_FORWARD and activation_passes(pulse, service, proxy.now_ms):
        policy = UNKNOWN_FORWARD
    if policy == UNKNOWN_DROP or (policy == UNKNOWN_RESET_IT and segment.flags & TCP_RST):
        return (<uint8_t>NO_CONNECTION if segment.flags & (TCP_RST | TCP_FIN)
                else <uint8_t>COOKIE_INVALID)
    if pulse.guarded and not activation_take_unknown(pulse, service, proxy.now_ns):
        return UNKNOWN_RATE
    if (segment.flags & (TCP_RST | TCP_ACK) == TCP_ACK
            and activation_takes_cookies(pulse, service, proxy.answered_ms, proxy.now_ms)):
        overtaken_note(proxy.overtaken, digest, segment.ack, proxy.now_ms)
    if policy == UNKNOWN_RESET_IT:
        if overtaken_waits(proxy.overtaken, digest, segment.ack, proxy.now_ms):
            return RST_PREMATURE
        return reset(proxy, segment, flow, service, VERDICT_TO_CLIENT)
    count(proxy.rows, service.row, UNKNOWN_FORWARDED)
    return VERDICT_BRIDGE


cdef uint8_t unknown_server(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest) noexcept nogil:
    cdef Connection *conn
    cdef Pulse *pulse = pulse_of(proxy, service)
    cdef bint passes = activation_passes(pulse, service, proxy.now_ms)
    if segment.flags & TCP_SYN:
        if not passes:
            return SYNACK_UNEXPECTED
        activation_note_synack(pulse)
        return VERDICT_BRIDGE
    if not passes and service.unknown_flow != UNKNOWN_FORWARD:
        if service.unknown_flow == UNKNOWN_DROP or segment.flags & TCP_RST:
            return NO_CONNECTION
        return reset(proxy, segment, flow, service, VERDICT_TO_SERVER)
    if (segment.flags & (TCP_RST | TCP_ACK) == TCP_RST
            and overtaken_waits(proxy.overtaken, digest, segment.seq, proxy.now_ms)):
        return RST_PREMATURE
    count(proxy.rows, service.row, UNKNOWN_FORWARDED)
    if segment.flags & TCP_RST:
        return VERDICT_BRIDGE
    activation_note_adoption(pulse)
    conn = connection_adopt(proxy, segment, flow, service, digest, NULL)
    if conn != NULL:
        count(proxy.rows, service.row, CONN_ADOPTED)
        connection_note(proxy, segment, conn, CONN_SERVER_FIN, service)
    return VERDICT_BRIDGE


cdef uint8_t reset(Proxy *proxy, Segment *segment, const Flow *flow, const Service *service,
                   uint8_t verdict) noexcept nogil:
    sender_reset(proxy, segment, flow, verdict == VERDICT_TO_SERVER, service.row)
    count(proxy.rows, service.row, UNKNOWN_RESET)
    return verdict


cdef Connection *connection_adopt(Proxy *proxy, const Segment *segment, const Flow *flow,
                                  const Service *service, uint64_t digest,
                                  Connection *conn) noexcept nogil:
    cdef Envelope envelope
    if service.leaving:
        if conn != NULL:
            connection_remove(proxy, conn)
        return NULL
    if conn == NULL:
        conn = room_enter(proxy, flow, digest, ROOM_ENDED)
    if conn == NULL:
        return NULL
    entry_begin(proxy.table, conn)
    supply_release(proxy.supplies, conn)
    conn.state = STATE_ESTABLISHED
    # Until its client has spoken it is kept no longer than one that a doubtful RST has met.
    conn.flags = CONN_PASSES | CONN_RST_DOUBTFUL
    conn.seq_offset = 0                 # of the connection that had the ports before
    conn.isn = 0
    conn.scales_client = 0
    conn.scales_server = 0
    conn.client_ack = segment.seq + segment_length(segment)
    conn.server_ack = segment.ack
    conn.active = proxy.now_active
    entry_end(proxy.table)
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)         # of frames from the client
    links_note(proxy.links, proxy.table, conn, &envelope)
    return conn


cdef uint8_t connection_pass(Proxy *proxy, const Segment *segment, Connection *conn,
                             uint8_t fin_flag, const Service *service) noexcept nogil:
    if segment.flags & TCP_RST:
        conn.flags |= CONN_RST_DOUBTFUL     # windows are not followed, so any RST is
    elif fin_flag == CONN_CLIENT_FIN:
        conn.flags &= <uint8_t>~CONN_RST_DOUBTFUL
    connection_note(proxy, segment, conn, fin_flag, service)
    return VERDICT_BRIDGE


cdef void connection_note(Proxy *proxy, const Segment *segment, Connection *conn,
                          uint8_t fin_flag, const Service *service) noexcept nogil:
    conn.active = proxy.now_active
    if segment.flags & TCP_ACK and fin_flag == CONN_CLIENT_FIN:
        conn.client_ack = seq_max(conn.client_ack, segment.ack)
    elif segment.flags & TCP_ACK:
        conn.server_ack = seq_max(conn.server_ack, segment.ack)
    if segment.flags & TCP_FIN:
        connection_fin(proxy, conn, fin_flag, service.row)
