from libc.string cimport memcpy

from cython_core.proxy.conntable cimport (
    CONN_CLIENT_FIN, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SUPPLIED, STATE_CLIENT_RESET,
    STATE_DELETED, STATE_REFUSED, STATE_SERVER_RESET, STATE_SYN_SENT, STATE_TIME_WAIT,
)
from cython_core.proxy.counters cimport (
    DRAINING, EARLY_DELIVERED, FLAGS_INVALID, RST_OUT_OF_WINDOW, SERVER_NOT_READY, SYN_PASSED,
    count,
)
from cython_core.proxy.deletion cimport client_deleted
from cython_core.proxy.early cimport EarlySegment, early_first, early_pop
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.opening cimport (
    client_refused, client_reopens, client_stranger, client_while_server_awaited,
)
from cython_core.proxy.seqadj cimport seqadj_to_server
from cython_core.proxy.supply cimport supply_to_server
from cython_core.proxy.synproxy cimport (
    VERDICT_BRIDGE, VERDICT_TRANSLATE, connection_close, connection_fin, connection_revive,
    outbox_peek, outbox_push, window_log2,
)
from cython_core.proxy.unknown cimport connection_pass
from cython_core.wire.segment cimport (
    TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, segment_is_plain_ack, segment_parse,
)
from cython_core.wire.seq cimport seq_lt, seq_max, seq_within

cdef enum:
    ACK_STEP_BYTES = 1 << 20    # one ACK rarely says more; if it does, its cookie is tried as well


cdef uint8_t client_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest, Connection *conn,
                            Proof *proof) noexcept nogil:
    cdef uint8_t flags = segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)
    if flags == TCP_SYN:
        return client_syn_passes(proxy, service, conn)
    if conn != NULL and conn.state == STATE_DELETED:
        return client_deleted(proxy, segment, flow, service, conn, proof)
    if conn != NULL and conn.flags & CONN_PASSES:
        return client_passes(proxy, segment, flow, service, conn, proof)
    if flags not in (TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK):
        return FLAGS_INVALID
    if conn == NULL:
        return client_stranger(proxy, segment, flow, service, digest, proof)
    if conn.state == STATE_SYN_SENT:
        return client_while_server_awaited(proxy, segment, flow, service, conn, proof)
    if conn.state == STATE_REFUSED:
        return client_refused(proxy, segment, flow, service, conn, proof)
    return client_connected(proxy, segment, flow, service, conn, proof)


# Cookies are off, or we drain.  An entry of these ports stays: the server's answer tells whether it
# is still the connection's (a challenge ACK, in its numbers) or a new one's.
cdef uint8_t client_syn_passes(Proxy *proxy, const Service *service,
                               const Connection *conn) noexcept nogil:
    if service.refusing:
        return DRAINING
    if conn != NULL and conn.state == STATE_SYN_SENT:
        return SERVER_NOT_READY
    count(proxy.rows, service.row, SYN_PASSED)
    return VERDICT_BRIDGE


# Of a connection whose handshake was not ours; the ports may have been used anew by one that was.
cdef uint8_t client_passes(Proxy *proxy, Segment *segment, const Flow *flow,
                           const Service *service, Connection *conn,
                           Proof *proof) noexcept nogil:
    cdef uint8_t verdict
    if segment_is_plain_ack(segment) and (
            conn.state >= STATE_TIME_WAIT or ack_leaps(segment, conn)):
        verdict = client_reopens(proxy, segment, flow, service, conn, proof, VERDICT_BRIDGE)
        if verdict != VERDICT_BRIDGE:
            return verdict
    return connection_pass(proxy, segment, conn, CONN_CLIENT_FIN, service)


cdef uint8_t client_connected(Proxy *proxy, Segment *segment, const Flow *flow,
                              const Service *service, Connection *conn,
                              Proof *proof) noexcept nogil:
    cdef bint in_window = client_in_window(segment, conn)
    cdef uint8_t verdict = VERDICT_TRANSLATE
    if segment.flags & TCP_RST:
        if not in_window:
            return RST_OUT_OF_WINDOW
    elif segment.ack != conn.isn + 1 and (not in_window or conn.state >= STATE_TIME_WAIT
                                          or ack_leaps(segment, conn)):
        verdict = client_reopens(proxy, segment, flow, service, conn, proof, VERDICT_TRANSLATE)
    if verdict != VERDICT_TRANSLATE:
        return verdict
    if in_window:
        client_note(proxy, segment, service.row, conn)
    translate(proxy, segment, conn)
    return VERDICT_TRANSLATE


cdef inline void translate(Proxy *proxy, Segment *segment, const Connection *conn) noexcept nogil:
    seqadj_to_server(segment, conn)
    if conn.flags & CONN_SUPPLIED:
        supply_to_server(proxy.supplies, segment, conn)


# A scaled window is so wide that a new handshake's numbers may lie in it by chance.
cdef inline bint ack_leaps(const Segment *segment, const Connection *conn) noexcept nogil:
    return not seq_within(segment.ack - conn.seq_offset, conn.client_ack - ACK_STEP_BYTES,
                          conn.client_ack + ACK_STEP_BYTES)


# Both numbers within a window of what the ends had last acknowledged to each other.  One
# window back as well: retransmissions and keep-alives are old, and still the connection's.
cdef bint client_in_window(const Segment *segment, const Connection *conn) noexcept nogil:
    cdef uint32_t server_window = 1u << conn.server_window_log2
    cdef uint32_t client_window = 1u << conn.client_window_log2
    cdef uint32_t back = 0 if segment.flags & TCP_RST else server_window
    if not seq_within(segment.seq, conn.server_ack - back, conn.server_ack + server_window):
        return False
    return not segment.flags & TCP_ACK or seq_within(
        segment.ack - conn.seq_offset, conn.client_ack - client_window,
        conn.client_ack + client_window)


# What a segment in window tells of the connection.
cdef void client_note(Proxy *proxy, const Segment *segment, uint32_t row,
                      Connection *conn) noexcept nogil:
    cdef uint8_t width = window_log2(segment.window, conn.scales_client >> 4)
    if conn.state > STATE_TIME_WAIT:
        if not client_refutes(segment, conn):
            return
        connection_revive(proxy, conn, row)
    conn.active = proxy.now_active
    if segment.flags & TCP_RST:
        if segment.seq == conn.server_ack:
            connection_close(proxy, conn, STATE_CLIENT_RESET, row)
        else:
            conn.flags |= CONN_RST_DOUBTFUL
        return
    conn.flags &= <uint8_t>~CONN_RST_DOUBTFUL
    conn.client_ack = seq_max(conn.client_ack, segment.ack - conn.seq_offset)
    if width > conn.client_window_log2:
        conn.client_window_log2 = width
    if segment.flags & TCP_FIN:
        connection_fin(proxy, conn, CONN_CLIENT_FIN, row)


# Whoever acknowledges more than the RST's SEQ has not taken it for its own.
cdef inline bint client_refutes(const Segment *segment, const Connection *conn) noexcept nogil:
    return (conn.state == STATE_SERVER_RESET
            and segment.flags & (TCP_ACK | TCP_RST) == TCP_ACK
            and seq_lt(conn.client_ack, segment.ack - conn.seq_offset))


cdef bint client_early_deliver(Proxy *proxy, HalfOpen *record, Connection *conn) noexcept nogil:
    cdef EarlySegment *early = early_first(proxy.half_open.early, &record.early_data)
    cdef Segment segment
    while early != NULL:
        segment.frame = outbox_peek(proxy)
        if segment.frame == NULL:
            return False
        segment.frame_bytes = early.frame_bytes
        segment.room_bytes = early.frame_bytes
        memcpy(segment.frame, early.frame, early.frame_bytes)
        early_pop(proxy.half_open.early, &record.early_data)
        segment_parse(&segment)
        client_note(proxy, &segment, record.row, conn)
        translate(proxy, &segment, conn)
        outbox_push(proxy, segment.frame_bytes, True, record.row)
        count(proxy.rows, record.row, EARLY_DELIVERED)
        early = early_first(proxy.half_open.early, &record.early_data)
    return True
