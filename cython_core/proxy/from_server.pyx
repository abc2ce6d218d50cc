from cython_core.proxy.activation cimport activation_passes
from cython_core.proxy.answering cimport (
    server_answers, server_comes_late, server_repeats_synack,
)
from cython_core.proxy.conntable cimport (
    CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SERVER_FIN, CONN_SUPPLIED, CONN_WINDOW_TOLD,
    STATE_CLIENT_RESET, STATE_DELETED, STATE_REFUSED, STATE_SERVER_RESET, STATE_SYN_SENT,
    STATE_TIME_WAIT,
)
from cython_core.proxy.counters cimport FLAGS_INVALID, RST_OUT_OF_WINDOW, SERVER_OPENED, count
from cython_core.proxy.deletion cimport server_deleted
from cython_core.proxy.seqadj cimport seqadj_to_client
from cython_core.proxy.supply cimport supply_to_client
from cython_core.proxy.synproxy cimport (
    VERDICT_BRIDGE, VERDICT_TRANSLATE, connection_close, connection_fin, connection_revive,
    pulse_of, window_log2,
)
from cython_core.proxy.unknown cimport connection_adopt, connection_pass, unknown_server
from cython_core.wire.segment cimport TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, segment_length
from cython_core.wire.seq cimport seq_lt, seq_max, seq_within


cdef uint8_t server_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil:
    cdef uint8_t flags = segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)
    if flags == TCP_SYN and (conn == NULL or conn.state >= STATE_TIME_WAIT):
        return server_opens(proxy, segment, flow, service, digest, conn)
    if conn != NULL and conn.state == STATE_DELETED:
        return server_deleted(proxy, segment, flow, service, digest, conn)
    if conn != NULL and conn.flags & CONN_PASSES:
        if flags == TCP_SYN | TCP_ACK:      # the ports have been used anew
            connection_adopt(proxy, segment, flow, service, digest, conn)
            return VERDICT_BRIDGE
        return connection_pass(proxy, segment, conn, CONN_SERVER_FIN, service)
    if flags not in (TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK, TCP_SYN | TCP_ACK):
        return FLAGS_INVALID
    if conn == NULL:
        return unknown_server(proxy, segment, flow, service, digest)
    if conn.state == STATE_SYN_SENT:
        return server_answers(proxy, segment, flow, service, conn)
    if flags & TCP_SYN and is_anew(segment, conn) and activation_passes(
            pulse_of(proxy, service), service, proxy.now_ms):
        connection_adopt(proxy, segment, flow, service, digest, conn)
        return VERDICT_BRIDGE
    if conn.state == STATE_REFUSED:
        return server_comes_late(proxy, segment, flow, service)
    if flags & TCP_SYN:
        return server_repeats_synack(proxy, segment, flow, service, conn)
    return server_connected(proxy, segment, service, conn)


# A SYN-ACK of another connection than the one in the table.
cdef inline bint is_anew(const Segment *segment, const Connection *conn) noexcept nogil:
    return conn.state == STATE_REFUSED or segment.seq + conn.seq_offset != conn.isn


# A connection of the server's own, from a protected port: it has no cookie, and its segments
# pass as they are.  Where the table is full this SYN passes all the same, its answer won't.
cdef uint8_t server_opens(Proxy *proxy, const Segment *segment, const Flow *flow,
                          const Service *service, uint64_t digest,
                          Connection *conn) noexcept nogil:
    if connection_adopt(proxy, segment, flow, service, digest, conn) != NULL:
        count(proxy.rows, service.row, SERVER_OPENED)
    return VERDICT_BRIDGE


cdef uint8_t server_connected(Proxy *proxy, Segment *segment, const Service *service,
                              Connection *conn) noexcept nogil:
    cdef bint in_window = server_in_window(segment, conn)
    if segment.flags & TCP_RST and not in_window:
        return RST_OUT_OF_WINDOW
    if in_window:
        server_note(proxy, segment, service, conn)
    conn.flags |= CONN_WINDOW_TOLD
    seqadj_to_client(segment, conn)
    if conn.flags & CONN_SUPPLIED:
        supply_to_client(proxy.supplies, segment, conn, <uint32_t>proxy.now_ms)
    return VERDICT_TRANSLATE


# As client_in_window, with the sides exchanged; but a RST as well may lie one window back: only a
# client's numbers can be forged from outside, and a forged ACK may have moved `client_ack` on.
cdef bint server_in_window(const Segment *segment, const Connection *conn) noexcept nogil:
    cdef uint32_t server_window = 1u << conn.server_window_log2
    cdef uint32_t client_window = 1u << conn.client_window_log2
    if not seq_within(segment.seq, conn.client_ack - client_window,
                      conn.client_ack + client_window):
        return False
    return not segment.flags & TCP_ACK or seq_within(
        segment.ack, conn.server_ack - server_window, conn.server_ack + server_window)


# What a segment in window tells of the connection.
cdef void server_note(Proxy *proxy, const Segment *segment, const Service *service,
                      Connection *conn) noexcept nogil:
    cdef uint8_t width = window_log2(segment.window, conn.scales_server >> 4)
    if conn.state > STATE_TIME_WAIT:
        if not server_refutes(segment, conn):
            return
        connection_revive(proxy, conn, service.row)
    conn.active = proxy.now_active
    if segment.flags & TCP_RST:
        if segment.seq == conn.client_ack:
            connection_close(proxy, conn, STATE_SERVER_RESET, service.row)
        else:
            conn.flags |= CONN_RST_DOUBTFUL
        return
    conn.flags &= <uint8_t>~CONN_RST_DOUBTFUL
    # A client can't have what the server has not sent: who says so is not the client.
    if seq_lt(segment.seq + segment_length(segment), conn.client_ack):
        conn.client_ack = segment.seq + segment_length(segment)
    conn.server_ack = seq_max(conn.server_ack, segment.ack)
    if width > conn.server_window_log2:
        conn.server_window_log2 = width
    if segment.flags & TCP_FIN:
        connection_fin(proxy, conn, CONN_SERVER_FIN, service.row)


# As client_refutes.
cdef inline bint server_refutes(const Segment *segment, const Connection *conn) noexcept nogil:
    return (conn.state == STATE_CLIENT_RESET
            and segment.flags & (TCP_ACK | TCP_RST) == TCP_ACK
            and seq_lt(conn.server_ack, segment.ack))
