from libc.stdint cimport uint32_t
from libc.string cimport memset

from cython_core.proxy.conntable cimport (
    CONN_STRIP_SACK, CONN_SUPPLIED, CONN_TIMESTAMPS, STATE_ESTABLISHED, STATE_REFUSED,
    STATE_SYN_SENT, STATE_TIME_WAIT, entry_begin, entry_end,
)
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.counters cimport (
    NO_BUFFER, NO_CONNECTION, OPTIONS_DIFFER, OPTIONS_LEARNED, OPTIONS_NOT_KEPT, ORIGINATED,
    RST_OUT_OF_WINDOW, SERVER_CHALLENGED, SERVER_ESTABLISHED, SERVER_REFUSED, SERVER_SYN_RETRANS,
    SERVER_UNREACHABLE, SYNACK_UNEXPECTED, count,
)
from cython_core.proxy.events cimport event_note, event_note_segment
from cython_core.proxy.half_open cimport half_open_deliver
from cython_core.proxy.handshake cimport Tcp, compose, envelope_reverse, envelope_take
from cython_core.proxy.learned cimport LEARNED_NEWS, LEARNED_NO_ROOM, LearnedNews, learned_note
from cython_core.proxy.pacers cimport PACER_NONE
from cython_core.proxy.supply cimport SUPPLY_NONE, supply_take
from cython_core.proxy.synproxy cimport (
    NS_PER_S, VERDICT_ABSORB, VERDICT_BRIDGE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER,
    client_rst_compose, connection_close, handshake_end, handshake_settle, outbox_peek,
    outbox_push, server_rst_push, server_syn_compose, window_log2,
)
from cython_core.wire.options cimport WSCALE_ABSENT
from cython_core.wire.segment cimport TCP_ACK, TCP_RST, TCP_SYN, segment_takes_ecn


# It answers a SYN whose client has gone: RFC 9293 §3.10.7.1, as if there were no connection.
cdef uint8_t server_comes_late(Proxy *proxy, Segment *segment, const Flow *flow,
                               const Service *service) noexcept nogil:
    cdef Envelope envelope
    if not segment.flags & TCP_SYN or outbox_peek(proxy) == NULL:
        return NO_CONNECTION
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    server_rst_push(proxy, &envelope, flow, segment.ack, service.row)
    return VERDICT_ABSORB


# RFC 9293 §3.10.7.3, in its order: ACK, RST, SYN.  A server that was asked nothing yet speaks of
# something older.
cdef uint8_t server_answers(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn) noexcept nogil:
    cdef HalfOpen *record = &proxy.half_open.records[conn.client_ack]
    cdef bint acks_our_syn = (segment.flags & TCP_ACK
                              and segment.ack == record.client_isn + 1)
    if record.pacer != PACER_NONE:
        return SYNACK_UNEXPECTED if segment.flags & TCP_SYN else NO_CONNECTION
    if segment.flags & TCP_RST:
        if not acks_our_syn:
            return RST_OUT_OF_WINDOW
        return server_refuses(proxy, segment, flow, service, conn, record)
    if not acks_our_syn:
        return server_challenges(proxy, segment, flow, service, conn, record)
    if not segment.flags & TCP_SYN:
        return SYNACK_UNEXPECTED
    server_learn(proxy, segment, service, record)
    # Its client was told of timestamps, and will get them from us: there must be room for them in
    # each segment, so the handshake begins again with a smaller MSS.
    if (record.offer.timestamps and not segment.options.timestamps and not record.supplied
            and record.syns_sent <= record.syn_retries and outbox_peek(proxy) != NULL):
        record.supplied = True
        return server_begins_again(proxy, segment, flow, service, record)
    return server_accepts(proxy, segment, flow, service, conn, record)


cdef uint8_t server_refuses(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            HalfOpen *record) noexcept nogil:
    cdef Envelope envelope
    envelope_take(&envelope, segment)
    segment.frame_bytes = client_rst_compose(segment.frame, &envelope, conn)
    handshake_end(proxy, record)
    connection_close(proxy, conn, STATE_REFUSED, service.row)
    count(proxy.rows, service.row, SERVER_REFUSED)
    event_note(proxy.events, proxy.now_ns, SERVER_REFUSED, service.row, flow)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


cdef uint8_t server_unreachable(Proxy *proxy, Segment *segment, uint32_t quoted_seq,
                                const Service *service, Connection *conn) noexcept nogil:
    cdef HalfOpen *record
    cdef Envelope envelope
    if conn == NULL or conn.state != STATE_SYN_SENT:
        return VERDICT_BRIDGE
    record = &proxy.half_open.records[conn.client_ack]
    if quoted_seq != record.client_isn or record.pacer != PACER_NONE:
        return VERDICT_BRIDGE
    envelope = record.envelope
    envelope_reverse(&envelope)
    segment.frame_bytes = client_rst_compose(segment.frame, &envelope, conn)
    handshake_end(proxy, record)
    connection_close(proxy, conn, STATE_REFUSED, service.row)
    count(proxy.rows, service.row, SERVER_UNREACHABLE)
    event_note(proxy.events, proxy.now_ns, SERVER_UNREACHABLE, service.row, &conn.flow)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


# It acknowledges what we never sent: it holds an older connection of these ports.  RST, and
# our SYN at once again, within the same bound as by time.
cdef uint8_t server_challenges(Proxy *proxy, Segment *segment, const Flow *flow,
                               const Service *service, Connection *conn,
                               HalfOpen *record) noexcept nogil:
    if outbox_peek(proxy) == NULL:
        return NO_BUFFER
    if record.syns_sent > record.syn_retries:
        return SYNACK_UNEXPECTED
    count(proxy.rows, service.row, SERVER_CHALLENGED)
    event_note(proxy.events, proxy.now_ns, SERVER_CHALLENGED, service.row, flow)
    return server_begins_again(proxy, segment, flow, service, record)


# A RST in place of what the server says, and our SYN anew; a frame for both there is.
cdef uint8_t server_begins_again(Proxy *proxy, Segment *segment, const Flow *flow,
                                 const Service *service, HalfOpen *record) noexcept nogil:
    server_rst_push(proxy, &record.envelope, flow, segment.ack, service.row)
    record.syns_sent += 1
    segment.frame_bytes = server_syn_compose(segment.frame, record, flow)
    count(proxy.rows, service.row, SERVER_SYN_RETRANS)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_SERVER


cdef void server_learn(Proxy *proxy, const Segment *synack, const Service *service,
                       const HalfOpen *record) noexcept nogil:
    cdef LearnedNews news
    news = learned_note(
        proxy.learned, synack, record.offer.wscale != WSCALE_ABSENT, record.offer.sack,
        record.offer.timestamps and not record.supplied, record.offer.ecn, proxy.keys.number,
        <uint32_t>(proxy.now_ns // NS_PER_S))
    if news == LEARNED_NO_ROOM:
        count(proxy.rows, service.row, OPTIONS_NOT_KEPT)
    elif news == LEARNED_NEWS:
        count(proxy.rows, service.row, OPTIONS_LEARNED)
        event_note_segment(proxy.events, proxy.now_ns, OPTIONS_LEARNED, service.row, synack, False)


cdef uint8_t server_accepts(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            HalfOpen *record) noexcept nogil:
    cdef uint8_t *spare = outbox_peek(proxy)
    cdef Envelope envelope
    if spare == NULL:
        return NO_BUFFER            # the server says it again
    connection_fix(proxy, segment, conn, record)
    outbox_push(proxy, server_ack_compose(spare, segment, flow, conn, record), True, service.row)
    envelope_take(&envelope, segment)
    segment.frame_bytes = window_update_compose(segment.frame, &envelope, flow, record)
    if record.early_data.count > 0:
        half_open_deliver(proxy.half_open, record)
    else:
        handshake_settle(proxy, record)
    count(proxy.rows, service.row, SERVER_ESTABLISHED)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


# From the server's SYN-ACK: the offsets, for the life of the connection, and the scales.
cdef void connection_fix(Proxy *proxy, const Segment *synack, Connection *conn,
                         HalfOpen *record) noexcept nogil:
    cdef const Offer *offer = &record.offer
    entry_begin(proxy.table, conn)
    conn.state = STATE_ESTABLISHED
    conn.active = proxy.now_active
    conn.seq_offset = conn.isn - synack.seq
    conn.client_ack = synack.seq + 1
    if offer.timestamps and synack.options.timestamps:
        conn.flags |= CONN_TIMESTAMPS
        conn.ts_offset = synack.options.tsval - record.our_tsval
    elif record.supplied:
        conn.ts_offset = supply_take(
            proxy.supplies, record.our_tsval + 1 - <uint32_t>proxy.now_ms, record.client_tsval,
            offer.mss)
        if conn.ts_offset != SUPPLY_NONE:
            conn.flags |= CONN_SUPPLIED
    if offer.sack and offer.announced_sack != synack.options.sack_permitted:
        conn.flags |= CONN_STRIP_SACK
    scales_fix(conn, offer, synack.options.wscale)
    conn.client_window_log2 = window_log2(record.client_window, conn.scales_client >> 4)
    conn.server_window_log2 = window_log2(synack.window, 0)
    entry_end(proxy.table)
    if (conn.flags & CONN_STRIP_SACK or offer.announced_wscale != wscale_of(offer, synack)
            or offer.timestamps != synack.options.timestamps
            or (offer.ecn and not segment_takes_ecn(synack))):
        count(proxy.rows, record.row, OPTIONS_DIFFER)
        event_note_segment(proxy.events, proxy.now_ns, OPTIONS_DIFFER, record.row, synack, False)
    record.server_window = synack.window >> (conn.scales_server & 15)
    if record.server_window == 0 and synack.window > 0:
        record.server_window = 1


# RFC 7323 §2.2: who gets no scale neither scales nor expects it.  The client got ours, the server
# the client's.
cdef void scales_fix(Connection *conn, const Offer *offer, uint8_t server_scale) noexcept nogil:
    cdef uint8_t announced = offer.announced_wscale
    conn.scales_client = 0
    conn.scales_server = 0
    if offer.wscale == WSCALE_ABSENT:
        return
    if announced != WSCALE_ABSENT:
        conn.scales_client = offer.wscale << 4
        conn.scales_server = announced
    if server_scale != WSCALE_ABSENT:
        conn.scales_client |= offer.wscale
        conn.scales_server |= server_scale << 4


# The server's scale, as far as it was asked for one.
cdef inline uint8_t wscale_of(const Offer *offer, const Segment *synack) noexcept nogil:
    return WSCALE_ABSENT if offer.wscale == WSCALE_ABSENT else synack.options.wscale


cdef uint16_t server_ack_compose(uint8_t *frame, const Segment *synack, const Flow *flow,
                                 const Connection *conn,
                                 const HalfOpen *record) noexcept nogil:
    cdef uint32_t window = <uint32_t>record.client_window << (conn.scales_client >> 4)
    window >>= conn.scales_client & 15
    if window == 0 and record.client_window > 0:
        window = 1
    return ack_compose(frame, &record.envelope, synack, flow, conn, window)


# An ACK of the server's SYN-ACK, in the client's name.
cdef uint16_t ack_compose(uint8_t *frame, const Envelope *envelope, const Segment *synack,
                          const Flow *flow, const Connection *conn,
                          uint32_t window) noexcept nogil:
    cdef Tcp tcp
    memset(&tcp, 0, sizeof(tcp))
    tcp.seq = synack.ack
    tcp.ack = synack.seq + 1
    tcp.flags = TCP_ACK
    tcp.window = <uint16_t>(window if window < 0xFFFF else 0xFFFF)
    tcp.options.wscale = WSCALE_ABSENT
    tcp.options.timestamps = conn.flags & CONN_TIMESTAMPS
    tcp.options.tsval = synack.options.tsecr
    tcp.options.tsecr = synack.options.tsval
    return compose(frame, envelope, flow, True, &tcp)


cdef uint16_t window_update_compose(uint8_t *frame, const Envelope *envelope, const Flow *flow,
                                    const HalfOpen *record) noexcept nogil:
    cdef Tcp tcp
    memset(&tcp, 0, sizeof(tcp))
    tcp.seq = record.isn + 1
    tcp.ack = record.client_isn + 1
    tcp.flags = TCP_ACK
    tcp.window = record.server_window
    tcp.options.wscale = WSCALE_ABSENT
    tcp.options.timestamps = record.offer.timestamps
    tcp.options.tsval = record.our_tsval
    tcp.options.tsecr = record.client_tsval
    return compose(frame, envelope, flow, False, &tcp)


# Our ACK was lost: say it again.  A SYN-ACK with another ISN answers an older SYN.
cdef uint8_t server_repeats_synack(Proxy *proxy, Segment *segment, const Flow *flow,
                                   const Service *service, Connection *conn) noexcept nogil:
    cdef Envelope envelope
    # Half of what log2 was rounded up to: no more than the client has, and no false zero.
    cdef uint32_t window = (1u << conn.client_window_log2 >> 1) >> (conn.scales_client & 15)
    if segment.seq + conn.seq_offset != conn.isn:
        return SYNACK_UNEXPECTED
    if conn.state > STATE_TIME_WAIT:
        return server_comes_late(proxy, segment, flow, service)
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    if window == 0 and conn.client_window_log2 > 0:
        window = 1
    segment.frame_bytes = ack_compose(segment.frame, &envelope, segment, flow, conn, window)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_SERVER
