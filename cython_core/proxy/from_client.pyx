from libc.string cimport memset

from cython_core.proxy.conntable cimport (
    CONN_BY_SERVER, CONN_CLIENT_FIN, CONN_RST_DOUBTFUL, STATE_CLOSED, STATE_ESTABLISHED,
    STATE_HALF_CLOSED, STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT, conntable_index,
    conntable_insert,
)
from cython_core.proxy.cookie cimport Cookie, cookie_check, cookie_from_mac
from cython_core.proxy.counters cimport (
    CONN_REOPENED, COOKIE_INVALID, COOKIE_RETRANS, COOKIE_VALID, FLAGS_INVALID, HALF_OPEN_FULL,
    NO_CONNECTION, ORIGINATED, RST_OUT_OF_WINDOW, SERVER_NOT_READY, SERVER_SYN_SENT,
    SYN_RECEIVED, SYNACK_SENT, TABLE_FULL, count,
)
from cython_core.proxy.half_open cimport (
    HalfOpen, half_open_arm, half_open_index, half_open_release, half_open_take,
)
from cython_core.proxy.handshake cimport (
    Envelope, Tcp, compose, envelope_reverse, envelope_take,
)
from cython_core.proxy.seqadj cimport seqadj_to_server
from cython_core.proxy.synproxy cimport (
    VERDICT_ABSORB, VERDICT_TO_CLIENT, VERDICT_TO_SERVER, VERDICT_TRANSLATE,
    client_rst_compose, connection_close, connection_evict, connection_fin, connection_pass,
    server_rst_push, server_syn_compose, window_log2,
)
from cython_core.wire.segment cimport TCP_ACK, TCP_ECE, TCP_FIN, TCP_RST, TCP_SYN
from cython_core.wire.seq cimport seq_max, seq_within

cdef enum:
    ACK_STEP_BYTES = 1 << 20    # one ACK rarely says more; if it does, its cookie is tried as well


cdef uint8_t client_syn(Proxy *proxy, Segment *segment, const Flow *flow, const Service *service,
                        const Offer *offer, uint32_t bits, uint64_t mac) noexcept nogil:
    cdef Envelope envelope
    cdef Cookie cookie
    cdef Tcp tcp
    cookie_from_mac(&cookie, mac, bits)
    memset(&tcp, 0, sizeof(tcp))
    tcp.seq = cookie.isn
    tcp.ack = segment.seq + 1
    tcp.flags = TCP_SYN | TCP_ACK | TCP_ECE if offer.ecn else TCP_SYN | TCP_ACK
    # Only what the client offered is answered, so that the answer is never the longer frame.
    if segment.options.mss != 0:
        tcp.options.mss = service.mss if segment.family == 4 else service.mss_ipv6
    tcp.options.wscale = offer.announced_wscale
    tcp.options.sack_permitted = offer.sack
    tcp.options.timestamps = offer.timestamps
    tcp.options.tsval = cookie.tsval
    tcp.options.tsecr = segment.options.tsval
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    segment.frame_bytes = compose(segment.frame, &envelope, flow, False, &tcp)
    count(proxy.rows, service.row, SYN_RECEIVED)
    count(proxy.rows, service.row, SYNACK_SENT)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


cdef uint8_t client_segment(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, uint64_t digest,
                            Connection *conn) noexcept nogil:
    cdef uint8_t flags = segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK)
    if conn != NULL and conn.flags & CONN_BY_SERVER and conn.state < STATE_TIME_WAIT:
        return connection_pass(proxy, segment, conn, CONN_CLIENT_FIN, service.row)
    if flags not in (TCP_ACK, TCP_FIN | TCP_ACK, TCP_RST, TCP_RST | TCP_ACK):
        return FLAGS_INVALID
    if conn == NULL:
        return client_stranger(proxy, segment, flow, service, digest)
    if conn.state == STATE_SYN_SENT:
        return client_while_server_awaited(proxy, segment, flow, service, conn)
    if conn.state == STATE_REFUSED:
        return client_refused(proxy, segment, flow, service, conn)
    return client_connected(proxy, segment, flow, service, conn)


cdef inline bint is_plain_ack(const Segment *segment) noexcept nogil:
    return segment.flags & (TCP_FIN | TCP_SYN | TCP_RST | TCP_ACK) == TCP_ACK


# Whether an ACK acknowledges a cookie of ours: then `offer` and `client_isn` are known again.
cdef bint cookie_prove(const Proxy *proxy, const Segment *segment, const Flow *flow,
                       const Service *service, Offer *offer, uint32_t *client_isn) noexcept nogil:
    cdef Cookie cookie
    cdef bint timestamps = segment.options.timestamps
    cookie.isn = segment.ack - 1
    cookie.tsval = segment.options.tsecr
    client_isn[0] = segment.seq - 1
    if cookie_check(&cookie, timestamps, flow, segment.family, client_isn[0], service,
                    &proxy.keys, offer):
        return True
    # A client whose ACK was lost probes our zero window from one byte before: seq is its ISN.
    client_isn[0] = segment.seq
    return segment.payload_bytes == 0 and cookie_check(
        &cookie, timestamps, flow, segment.family, client_isn[0], service, &proxy.keys, offer)


cdef uint8_t client_stranger(Proxy *proxy, Segment *segment, const Flow *flow,
                             const Service *service, uint64_t digest) noexcept nogil:
    cdef Connection *conn
    cdef HalfOpen *record
    cdef Offer offer
    cdef uint32_t client_isn
    if not is_plain_ack(segment):
        return NO_CONNECTION
    if not cookie_prove(proxy, segment, flow, service, &offer, &client_isn):
        return COOKIE_INVALID
    record = half_open_take(proxy.half_open)
    if record == NULL:
        return HALF_OPEN_FULL
    conn = conntable_insert(proxy.table, digest, flow)
    if conn == NULL and connection_evict(proxy):
        conn = conntable_insert(proxy.table, digest, flow)
    if conn == NULL:
        half_open_release(proxy.half_open, record)
        return TABLE_FULL
    return connection_open(proxy, segment, service, conn, record, &offer, client_isn)


# A proven client: note what is known and turn its ACK into the SYN to the server.
cdef uint8_t connection_open(Proxy *proxy, Segment *segment, const Service *service,
                             Connection *conn, HalfOpen *record, const Offer *offer,
                             uint32_t client_isn) noexcept nogil:
    conn.state = STATE_SYN_SENT
    conn.flags = 0
    conn.isn = segment.ack - 1
    conn.client_ack = half_open_index(proxy.half_open, record)
    conn.server_ack = client_isn + 1
    conn.active = proxy.now_active
    record.connection = conntable_index(proxy.table, conn)
    record.client_isn = client_isn
    record.our_tsval = segment.options.tsecr
    record.client_tsval = segment.options.tsval
    record.client_window = segment.window
    record.syns_sent = 1
    record.syn_retries = service.syn_retries
    record.syn_timeout_ms = service.syn_timeout_ms
    record.row = service.row
    record.offer = offer[0]
    envelope_take(&record.envelope, segment)
    half_open_arm(proxy.half_open, record, proxy.now_ms, record.syn_timeout_ms)
    segment.frame_bytes = server_syn_compose(segment.frame, record, &conn.flow)
    count(proxy.rows, service.row, COOKIE_VALID)
    count(proxy.rows, service.row, SERVER_SYN_SENT)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_SERVER


cdef uint8_t client_while_server_awaited(Proxy *proxy, Segment *segment, const Flow *flow,
                                         const Service *service,
                                         Connection *conn) noexcept nogil:
    cdef HalfOpen *record = &proxy.half_open.records[conn.client_ack]
    if segment.flags & TCP_RST:
        return client_gives_up(proxy, segment, flow, service, conn, record)
    if segment.ack != conn.isn + 1:
        return client_reopens(proxy, segment, flow, service, conn, COOKIE_INVALID)
    if segment.payload_bytes > 0 or segment.flags & TCP_FIN:
        return SERVER_NOT_READY
    count(proxy.rows, service.row, COOKIE_RETRANS)
    return VERDICT_ABSORB


# The client's RST ends the server's half as well: it may have become SYN-RECEIVED.
cdef uint8_t client_gives_up(Proxy *proxy, Segment *segment, const Flow *flow,
                             const Service *service, Connection *conn,
                             HalfOpen *record) noexcept nogil:
    if segment.seq != record.client_isn + 1:
        return RST_OUT_OF_WINDOW
    server_rst_push(proxy, &record.envelope, flow, record.client_isn + 1, service.row)
    half_open_release(proxy.half_open, record)
    connection_close(proxy, conn, STATE_REFUSED, service.row)
    return VERDICT_ABSORB


# The RST that told the client was lost; say it again, unless the ports are used anew.
cdef uint8_t client_refused(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn) noexcept nogil:
    cdef Envelope envelope
    if segment.flags & TCP_RST:
        return NO_CONNECTION
    if segment.ack != conn.isn + 1:
        return client_reopens(proxy, segment, flow, service, conn, COOKIE_INVALID)
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    segment.frame_bytes = client_rst_compose(segment.frame, &envelope, conn)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


# The same ports again: if the ACK proves a new handshake, it replaces the old connection,
# whose server side gets a RST first.  Else `otherwise`.
cdef uint8_t client_reopens(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            uint8_t otherwise) noexcept nogil:
    cdef HalfOpen *record
    cdef Envelope envelope
    cdef Offer offer
    cdef uint32_t client_isn
    if not is_plain_ack(segment) or not cookie_prove(proxy, segment, flow, service, &offer,
                                                     &client_isn):
        return otherwise
    if conn.state == STATE_SYN_SENT:
        half_open_release(proxy.half_open, &proxy.half_open.records[conn.client_ack])
    record = half_open_take(proxy.half_open)
    if record == NULL:
        return HALF_OPEN_FULL
    if conn.state == STATE_ESTABLISHED or conn.state == STATE_HALF_CLOSED:
        envelope_take(&envelope, segment)
        server_rst_push(proxy, &envelope, flow, conn.server_ack, service.row)
    count(proxy.rows, service.row, CONN_REOPENED)
    return connection_open(proxy, segment, service, conn, record, &offer, client_isn)


cdef uint8_t client_connected(Proxy *proxy, Segment *segment, const Flow *flow,
                              const Service *service, Connection *conn) noexcept nogil:
    cdef bint in_window = client_in_window(segment, conn)
    cdef uint8_t verdict = VERDICT_TRANSLATE
    if segment.flags & TCP_RST:
        if not in_window:
            return RST_OUT_OF_WINDOW
    elif segment.ack != conn.isn + 1 and (not in_window or conn.state >= STATE_TIME_WAIT
                                          or ack_leaps(segment, conn)):
        verdict = client_reopens(proxy, segment, flow, service, conn, VERDICT_TRANSLATE)
    if verdict != VERDICT_TRANSLATE:
        return verdict
    if in_window:
        client_note(proxy, segment, service, conn)
    seqadj_to_server(segment, conn)
    return VERDICT_TRANSLATE


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
cdef void client_note(Proxy *proxy, const Segment *segment, const Service *service,
                      Connection *conn) noexcept nogil:
    cdef uint8_t width = window_log2(segment.window, conn.scales_client >> 4)
    if conn.state == STATE_CLOSED:
        return
    conn.active = proxy.now_active
    if segment.flags & TCP_RST:
        if segment.seq == conn.server_ack:
            connection_close(proxy, conn, STATE_CLOSED, service.row)
        else:
            conn.flags |= CONN_RST_DOUBTFUL
        return
    conn.flags &= <uint8_t>~CONN_RST_DOUBTFUL
    conn.client_ack = seq_max(conn.client_ack, segment.ack - conn.seq_offset)
    if width > conn.client_window_log2:
        conn.client_window_log2 = width
    if segment.flags & TCP_FIN:
        connection_fin(proxy, conn, CONN_CLIENT_FIN, service.row)
