from libc.stdint cimport uint32_t

from cython_core.proxy.activation cimport activation_passes
from cython_core.proxy.conntable cimport (
    STATE_DELETED, STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT, conntable_find,
    conntable_words,
)
from cython_core.proxy.counters cimport (
    CONN_DELETED, NO_CONNECTION, SYNACK_UNEXPECTED, count,
)
from cython_core.proxy.events cimport event_note
from cython_core.proxy.half_open cimport HalfOpen
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.links cimport links_find
from cython_core.proxy.opening cimport client_reopens
from cython_core.proxy.pacers cimport PACER_NONE
from cython_core.proxy.service cimport snapshot_match
from cython_core.proxy.synproxy cimport (
    VERDICT_BRIDGE, VERDICT_NONE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER, client_rst_push,
    connection_close, handshake_end, pulse_of, sender_reset, server_rst_push,
)
from cython_core.proxy.unknown cimport connection_adopt
from cython_core.wire.segment cimport TCP_ACK, TCP_RST, TCP_SYN, segment_is_plain_ack
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words


cdef bint connection_delete(Proxy *proxy, const Flow *flow, Connection *was) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef const Service *service = snapshot_match(
        proxy.snapshot, flow.server_address, flow.server_port)
    cdef uint32_t row = 0 if service == NULL else service.row
    cdef Connection *conn
    conntable_words(words, 1, flow)
    conn = conntable_find(proxy.table, siphash_words(words, &proxy.table_key), flow)
    if conn == NULL or conn.state >= STATE_TIME_WAIT:
        return False
    was[0] = conn[0]
    if conn.state == STATE_SYN_SENT:
        delete_opening(proxy, conn, row)
    else:
        delete_open(proxy, conn, row)
    count(proxy.rows, row, CONN_DELETED)
    event_note(proxy.events, proxy.now_ns, CONN_DELETED, row, flow)
    return True


# The server may have become SYN-RECEIVED, if it was asked, and the client believes to be connected.
cdef void delete_opening(Proxy *proxy, Connection *conn, uint32_t row) noexcept nogil:
    cdef HalfOpen *record = &proxy.half_open.records[conn.client_ack]
    if record.pacer == PACER_NONE:
        server_rst_push(proxy, &record.envelope, &conn.flow, record.client_isn + 1, row)
    client_rst_push(proxy, &record.envelope, &conn.flow, conn.isn + 1, row)
    handshake_end(proxy, record)
    connection_close(proxy, conn, STATE_REFUSED, row)


cdef void delete_open(Proxy *proxy, Connection *conn, uint32_t row) noexcept nogil:
    cdef const Envelope *envelope = links_find(proxy.links, proxy.table, conn)
    if envelope != NULL:
        server_rst_push(proxy, envelope, &conn.flow, conn.server_ack, row)
        client_rst_push(proxy, envelope, &conn.flow, conn.client_ack + conn.seq_offset, row)
    connection_close(proxy, conn, STATE_DELETED, row)


# A newer handshake of the same ports goes on, from its cookie or from its SYN-ACK on.
cdef uint8_t client_deleted(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            Proof *proof) noexcept nogil:
    cdef uint8_t verdict = VERDICT_NONE
    if segment.flags & (TCP_ACK | TCP_RST) != TCP_ACK:
        return NO_CONNECTION
    if segment_is_plain_ack(segment) and segment.ack != conn.isn + 1:
        verdict = client_reopens(proxy, segment, flow, service, conn, proof, VERDICT_NONE)
    if verdict != VERDICT_NONE:
        return verdict
    sender_reset(proxy, segment, flow, False, service.row)
    return VERDICT_TO_CLIENT


cdef uint8_t server_deleted(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil:
    if segment.flags & TCP_SYN:
        if not activation_passes(pulse_of(proxy, service), service, proxy.now_ms):
            return SYNACK_UNEXPECTED
        connection_adopt(proxy, segment, flow, service, digest, conn)
        return VERDICT_BRIDGE
    if segment.flags & (TCP_ACK | TCP_RST) != TCP_ACK:
        return NO_CONNECTION
    sender_reset(proxy, segment, flow, True, service.row)
    return VERDICT_TO_SERVER
