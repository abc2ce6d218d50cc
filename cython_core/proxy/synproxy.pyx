from libc.string cimport memset

from cython_core.proxy.conntable cimport (
    ACTIVITY_TICK_S, CONN_CLIENT_FIN, CONN_SERVER_FIN, STATE_ESTABLISHED, STATE_HALF_CLOSED,
    STATE_REFUSED, STATE_SYN_SENT, STATE_TIME_WAIT, conntable_entry, conntable_remove,
    conntable_words,
)
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S, cookie_keys_derive
from cython_core.proxy.counters cimport (
    CONN_CLOSED, CONN_REVIVED, DROP_FIRST, EARLY_DISCARDED, ORIGINATED, SERVER_RST_SENT, count,
)
from cython_core.proxy.early cimport early_first, early_pop
from cython_core.proxy.events cimport event_note, events_clock
from cython_core.proxy.half_open cimport (
    STAGE_WINDOW, half_open_arm, half_open_release, half_open_stage,
)
from cython_core.proxy.handshake cimport (
    Tcp, answer_bytes, compose, envelope_reverse, envelope_take, rst_compose,
)
from cython_core.proxy.supply cimport SUPPLY_BYTES, supply_release
from cython_core.wire.options cimport WSCALE_ABSENT
from cython_core.wire.segment cimport TCP_ACK, TCP_CWR, TCP_ECE, TCP_RST, TCP_SYN
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_words

if VERDICT_ABSORB >= DROP_FIRST:
    raise ImportError("verdicts: one is taken for a drop reason")

cdef extern from *:
    int __builtin_clz(unsigned int) noexcept nogil


cdef void proxy_clock(Proxy *proxy, uint64_t now_ns) noexcept nogil:
    cdef uint64_t now_s = now_ns // NS_PER_S
    proxy.now_ns = now_ns
    proxy.now_ms = now_ns // NS_PER_MS
    proxy.now_active = <uint16_t>(now_s // ACTIVITY_TICK_S)
    proxy.table.alive_ns = now_ns
    if <uint32_t>(now_s // COOKIE_EPOCH_S) != proxy.keys.number:
        cookie_keys_derive(&proxy.keys, &proxy.secrets, now_s)
    events_clock(proxy.events, now_s)


cdef void proxy_snapshot(Proxy *proxy, const Snapshot *snapshot) noexcept nogil:
    proxy.snapshot = snapshot
    proxy.secrets = snapshot.secrets
    cookie_keys_derive(&proxy.keys, &proxy.secrets, proxy.now_ns // NS_PER_S)


cdef uint8_t *outbox_peek(Proxy *proxy) noexcept nogil:
    if proxy.outbox.filled == proxy.outbox.ready:
        return NULL
    return proxy.outbox.frame[proxy.outbox.filled]


cdef void outbox_push(Proxy *proxy, uint16_t frame_bytes, bint to_server,
                      uint32_t row) noexcept nogil:
    proxy.outbox.frame_bytes[proxy.outbox.filled] = frame_bytes
    proxy.outbox.to_server[proxy.outbox.filled] = to_server
    proxy.outbox.filled += 1
    count(proxy.rows, row, ORIGINATED)


cdef uint8_t window_log2(uint32_t window, uint8_t scale) noexcept nogil:
    cdef uint32_t window_bytes = window << scale
    if window_bytes <= 1:
        return 0
    return <uint8_t>(32 - __builtin_clz(window_bytes - 1))


cdef void connection_fin(Proxy *proxy, Connection *conn, uint8_t side_flag,
                         uint32_t row) noexcept nogil:
    conn.flags |= side_flag
    if conn.flags & (CONN_CLIENT_FIN | CONN_SERVER_FIN) != CONN_CLIENT_FIN | CONN_SERVER_FIN:
        conn.state = STATE_HALF_CLOSED
    elif conn.state != STATE_TIME_WAIT:
        conn.state = STATE_TIME_WAIT
        count(proxy.rows, row, CONN_CLOSED)


cdef void connection_close(Proxy *proxy, Connection *conn, uint8_t state,
                           uint32_t row) noexcept nogil:
    if STATE_SYN_SENT < conn.state < STATE_TIME_WAIT:
        count(proxy.rows, row, CONN_CLOSED)
    conn.state = state
    conn.active = proxy.now_active


cdef void connection_revive(Proxy *proxy, Connection *conn, uint32_t row) noexcept nogil:
    cdef uint8_t fins = conn.flags & (CONN_CLIENT_FIN | CONN_SERVER_FIN)
    conn.state = STATE_HALF_CLOSED if fins else STATE_ESTABLISHED
    if fins == CONN_CLIENT_FIN | CONN_SERVER_FIN:
        conn.state = STATE_TIME_WAIT
    count(proxy.rows, row, CONN_REVIVED)


# New connections need the records more, once half of them are in use.
cdef void handshake_settle(Proxy *proxy, HalfOpen *record) noexcept nogil:
    if record.window_shut and proxy.half_open.used <= proxy.half_open.capacity >> 1:
        half_open_stage(proxy.half_open, record, STAGE_WINDOW)
        half_open_arm(proxy.half_open, record, proxy.now_ms, WINDOW_TIMEOUT_MS)
    else:
        handshake_end(proxy, record)


cdef void handshake_end(Proxy *proxy, HalfOpen *record) noexcept nogil:
    while early_first(proxy.half_open.early, &record.early_data) != NULL:
        early_pop(proxy.half_open.early, &record.early_data)
        count(proxy.rows, record.row, EARLY_DISCARDED)
    half_open_release(proxy.half_open, record)


cdef void server_syn_push(Proxy *proxy, HalfOpen *record, const Connection *conn,
                          uint8_t counter) noexcept nogil:
    half_open_arm(proxy.half_open, record, proxy.now_ms, record.syn_timeout_ms)
    outbox_push(proxy, server_syn_compose(outbox_peek(proxy), record, &conn.flow), True,
                record.row)
    count(proxy.rows, record.row, counter)


cdef void handshake_give_up(Proxy *proxy, HalfOpen *record, uint8_t reason) noexcept nogil:
    cdef Connection *conn = conntable_entry(proxy.table, record.connection)
    cdef Envelope envelope = record.envelope
    envelope_reverse(&envelope)
    outbox_push(proxy, client_rst_compose(outbox_peek(proxy), &envelope, conn), False, record.row)
    count(proxy.rows, record.row, reason)
    event_note(proxy.events, proxy.now_ns, reason, record.row, &conn.flow)
    connection_close(proxy, conn, STATE_REFUSED, record.row)
    handshake_end(proxy, record)


cdef void connection_remove(Proxy *proxy, Connection *conn) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    supply_release(proxy.supplies, conn)
    conntable_words(words, 1, &conn.flow)
    conntable_remove(proxy.table, siphash_words(words, &proxy.table_key), conn)


cdef uint16_t server_syn_compose(uint8_t *frame, const HalfOpen *record,
                                 const Flow *flow) noexcept nogil:
    cdef Tcp tcp
    cdef uint32_t window = record.client_window
    memset(&tcp, 0, sizeof(tcp))
    if record.offer.announced_wscale != WSCALE_ABSENT:
        window <<= record.offer.wscale
    tcp.seq = record.client_isn
    tcp.window = <uint16_t>(window if window < 0xFFFF else 0xFFFF)
    tcp.flags = TCP_SYN | TCP_ECE | TCP_CWR if record.offer.ecn else TCP_SYN
    tcp.options.mss = record.offer.mss
    if record.supplied and tcp.options.mss > SUPPLY_BYTES:
        tcp.options.mss -= SUPPLY_BYTES
    tcp.options.wscale = record.offer.wscale
    tcp.options.sack_permitted = record.offer.sack
    tcp.options.timestamps = record.offer.timestamps and not record.supplied
    tcp.options.tsval = record.client_tsval
    return compose(frame, &record.envelope, flow, True, &tcp)


cdef uint16_t client_rst_compose(uint8_t *frame, const Envelope *envelope,
                                 const Connection *conn) noexcept nogil:
    cdef Tcp tcp
    memset(&tcp, 0, sizeof(tcp))
    tcp.options.wscale = WSCALE_ABSENT
    tcp.seq = conn.isn + 1
    tcp.ack = conn.server_ack
    tcp.flags = TCP_RST | TCP_ACK
    return compose(frame, envelope, &conn.flow, False, &tcp)


cdef void sender_reset(Proxy *proxy, Segment *segment, const Flow *flow, bint to_server,
                       uint32_t row) noexcept nogil:
    cdef Envelope envelope
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    segment.frame_bytes = answer_bytes(
        segment.frame_bytes, rst_compose(segment.frame, &envelope, flow, to_server, segment.ack))
    count(proxy.rows, row, ORIGINATED)


cdef void server_rst_push(Proxy *proxy, const Envelope *envelope, const Flow *flow, uint32_t seq,
                          uint32_t row) noexcept nogil:
    cdef uint8_t *frame = outbox_peek(proxy)
    if frame == NULL:
        return
    outbox_push(proxy, rst_compose(frame, envelope, flow, True, seq), True, row)
    count(proxy.rows, row, SERVER_RST_SENT)


cdef void client_rst_push(Proxy *proxy, const Envelope *envelope, const Flow *flow, uint32_t seq,
                          uint32_t row) noexcept nogil:
    cdef uint8_t *frame = outbox_peek(proxy)
    cdef Envelope back = envelope[0]
    if frame == NULL:
        return
    envelope_reverse(&back)
    outbox_push(proxy, rst_compose(frame, &back, flow, False, seq), False, row)
