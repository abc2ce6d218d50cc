from libc.string cimport memset

from cython_core.proxy.activation cimport activation_note_answer, activation_takes_cookies
from cython_core.proxy.bounds cimport bounds_take
from cython_core.proxy.conntable cimport (
    STATE_ESTABLISHED, STATE_HALF_CLOSED, STATE_REFUSED, STATE_SYN_SENT, conntable_index,
    entry_begin, entry_end,
)
from cython_core.proxy.cookie cimport COOKIE_EPOCH_S, Cookie, cookie_from_mac, cookie_mac
from cython_core.proxy.counters cimport (
    CONN_REOPENED, COOKIE_INVALID, COOKIE_RETRANS, COOKIE_VALID, EARLY_DISPLACED, EARLY_HELD,
    FLAGS_INVALID, HALF_OPEN_FULL, NO_CONNECTION, ORIGINATED, RST_OUT_OF_WINDOW, SERVER_NOT_READY,
    SERVER_SYN_PACED, SERVER_SYN_SENT, SYN_RECEIVED, SYNACK_SENT, TABLE_FULL, count,
)
from cython_core.proxy.early cimport (
    EARLY_WINDOW_BYTES, early_hold, early_holds, early_window,
)
from cython_core.proxy.half_open cimport (
    HalfOpen, half_open_arm, half_open_index, half_open_release, half_open_wait,
)
from cython_core.proxy.handshake cimport (
    Envelope, Tcp, answer_bytes, compose, envelope_reverse, envelope_take,
)
from cython_core.proxy.links cimport links_note
from cython_core.proxy.pacers cimport PACER_NONE
from cython_core.proxy.pacing cimport pacing_ask, pacing_holds
from cython_core.proxy.proof cimport PROOF_INVALID, proof_holds
from cython_core.proxy.room cimport ROOM_IDLE, room_enter, room_take
from cython_core.proxy.superseded cimport superseded_has, superseded_note
from cython_core.proxy.supply cimport supply_release
from cython_core.proxy.synproxy cimport (
    VERDICT_ABSORB, VERDICT_NONE, VERDICT_TO_CLIENT, VERDICT_TO_SERVER, client_rst_compose,
    connection_close, handshake_end, pulse_of, server_rst_push, server_syn_compose,
)
from cython_core.proxy.unknown cimport unknown_client
from cython_core.wire.segment cimport (
    TCP_ACK, TCP_ECE, TCP_FIN, TCP_RST, TCP_SYN, segment_is_plain_ack, segment_length,
)
from cython_core.wire.seq cimport seq_max, seq_within

cdef enum:
    # How long a cookie may live that was sent without a window: two epochs.
    SHUT_MS = 2 * COOKIE_EPOCH_S * 1000


cdef uint8_t client_syn(Proxy *proxy, Segment *segment, const Flow *flow, const Service *service,
                        const Offer *offer, uint32_t bits, uint64_t digest) noexcept nogil:
    cdef Envelope envelope
    cdef Cookie cookie
    cdef Tcp tcp
    cookie_from_mac(&cookie, cookie_mac(digest, segment.seq), bits)
    memset(&tcp, 0, sizeof(tcp))
    tcp.seq = cookie.isn
    tcp.ack = segment.seq + 1
    tcp.flags = TCP_SYN | TCP_ACK | TCP_ECE if offer.ecn else TCP_SYN | TCP_ACK
    # Only what the client offered is answered, so that the answer is never the longer frame.
    if segment.options.mss != 0:
        tcp.options.mss = offer.announced_mss
    tcp.options.wscale = offer.announced_wscale
    tcp.options.sack_permitted = offer.announced_sack
    tcp.options.timestamps = offer.timestamps
    tcp.options.tsval = cookie.tsval
    tcp.options.tsecr = segment.options.tsval
    if service.early_data:
        tcp.window = early_window(proxy.half_open.early, proxy.now_ms)
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    segment.frame_bytes = answer_bytes(
        segment.frame_bytes, compose(segment.frame, &envelope, flow, False, &tcp))
    activation_note_answer(proxy.answered_ms, service, proxy.now_ms)
    count(proxy.rows, service.row, SYN_RECEIVED)
    count(proxy.rows, service.row, SYNACK_SENT)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


cdef uint8_t client_stranger(Proxy *proxy, Segment *segment, const Flow *flow,
                             const Service *service, uint64_t digest,
                             Proof *proof) noexcept nogil:
    cdef Connection *conn
    cdef HalfOpen *record
    cdef uint32_t pacer
    cdef uint8_t beyond
    # What is refuted needs no second look: a flood of forged ACKs comes this way.
    if proof.state == PROOF_INVALID or not (
            segment.flags & (TCP_SYN | TCP_ACK) == TCP_ACK
            and activation_takes_cookies(pulse_of(proxy, service), service, proxy.answered_ms,
                                         proxy.now_ms)
            and proof_holds(proof, proxy, segment, flow, service)):
        return unknown_client(proxy, segment, flow, service, digest)
    # G11: with FIN or RST it opens nothing, and with our cookie it is no older connection's.
    if not segment_is_plain_ack(segment):
        return FLAGS_INVALID
    beyond = opening_ask(proxy, flow, service, &pacer)
    if beyond != VERDICT_NONE:
        return beyond
    record = room_take(proxy)
    if record == NULL:
        return HALF_OPEN_FULL
    conn = room_enter(proxy, flow, digest, ROOM_IDLE)
    if conn == NULL:
        half_open_release(proxy.half_open, record)
        return TABLE_FULL
    return connection_open(proxy, segment, service, conn, record, proof, pacer)


# VERDICT_NONE, and where its SYN may have to wait; else the reason to drop a proven client's ACK.
# Who would have no turn at its server has spent nothing of a bound.
cdef inline uint8_t opening_ask(Proxy *proxy, const Flow *flow, const Service *service,
                                uint32_t *pacer) noexcept nogil:
    cdef uint8_t beyond = pacing_ask(proxy, flow, service, pacer)
    return bounds_take(proxy, flow, service) if beyond == VERDICT_NONE else beyond


# A proven client: note what is known and turn its ACK into the SYN to the server, unless that is
# to wait at its `pacer`.
cdef uint8_t connection_open(Proxy *proxy, Segment *segment, const Service *service,
                             Connection *conn, HalfOpen *record, const Proof *proof,
                             uint32_t pacer) noexcept nogil:
    cdef uint32_t client_isn = proof.client_isn
    cdef bint waits = pacer != PACER_NONE and pacing_holds(proxy, service, pacer)
    entry_begin(proxy.table, conn)
    supply_release(proxy.supplies, conn)
    conn.state = STATE_SYN_SENT
    conn.flags = 0
    conn.isn = segment.ack - 1
    conn.client_ack = half_open_index(proxy.half_open, record)
    conn.server_ack = client_isn + 1
    conn.active = proxy.now_active
    record.connection = conntable_index(proxy.table, conn)
    record.isn = conn.isn
    record.client_isn = client_isn
    record.client_nxt = client_isn + 1
    record.our_tsval = segment.options.tsecr
    record.client_tsval = segment.options.tsval
    record.client_window = segment.window
    record.syns_sent = not waits
    record.syn_retries = service.syn_retries
    record.syn_timeout_ms = service.syn_timeout_ms
    record.row = service.row
    record.early = service.early_data
    record.window_shut = (not service.early_data
                          or proxy.now_ms - proxy.half_open.early.shut_ms < SHUT_MS)
    record.offer = proof.offer
    envelope_take(&record.envelope, segment)
    entry_end(proxy.table)
    links_note(proxy.links, proxy.table, conn, &record.envelope)
    if segment.payload_bytes > 0:
        early_note(proxy, segment, record)
    count(proxy.rows, service.row, COOKIE_VALID)
    if waits:
        half_open_wait(proxy.half_open, record, pacer, proxy.now_ms)
        count(proxy.rows, service.row, SERVER_SYN_PACED)
        return VERDICT_ABSORB
    half_open_arm(proxy.half_open, record, proxy.now_ms, record.syn_timeout_ms)
    segment.frame_bytes = server_syn_compose(segment.frame, record, &conn.flow)
    count(proxy.rows, service.row, SERVER_SYN_SENT)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_SERVER


cdef uint8_t client_while_server_awaited(Proxy *proxy, Segment *segment, const Flow *flow,
                                         const Service *service, Connection *conn,
                                         Proof *proof) noexcept nogil:
    cdef HalfOpen *record = &proxy.half_open.records[conn.client_ack]
    if segment.flags & TCP_RST:
        return client_gives_up(proxy, segment, flow, service, conn, record)
    if segment.ack != conn.isn + 1:
        return client_reopens(proxy, segment, flow, service, conn, proof, COOKIE_INVALID)
    if segment.payload_bytes > 0 or segment.flags & TCP_FIN:
        return early_note(proxy, segment, record)
    count(proxy.rows, service.row, COOKIE_RETRANS)
    return VERDICT_ABSORB


# Let the segment wait until its server has answered.
cdef uint8_t early_note(Proxy *proxy, const Segment *segment, HalfOpen *record) noexcept nogil:
    cdef bint displaced
    if not seq_within(segment.seq, record.client_isn + 1, record.client_isn + EARLY_WINDOW_BYTES):
        return SERVER_NOT_READY
    # What is not kept counts as well: the client has sent it (RFC 9293 §3.10.5: SEQ of its RST).
    record.client_nxt = seq_max(record.client_nxt, segment.seq + segment_length(segment))
    if not record.early:
        return SERVER_NOT_READY
    if early_holds(proxy.half_open.early, &record.early_data, segment):
        count(proxy.rows, record.row, COOKIE_RETRANS)
        return VERDICT_ABSORB
    if not early_hold(proxy.half_open.early, &record.early_data, segment, &displaced):
        return SERVER_NOT_READY
    count(proxy.rows, record.row, EARLY_HELD)
    if displaced:
        count(proxy.rows, record.row, EARLY_DISPLACED)
    return VERDICT_ABSORB


# The client's RST ends the server's half as well, unless that was asked nothing yet: it may have
# become SYN-RECEIVED.
cdef uint8_t client_gives_up(Proxy *proxy, Segment *segment, const Flow *flow,
                             const Service *service, Connection *conn,
                             HalfOpen *record) noexcept nogil:
    if segment.seq != record.client_isn + 1 and segment.seq != record.client_nxt:
        return RST_OUT_OF_WINDOW
    if record.pacer == PACER_NONE:
        server_rst_push(proxy, &record.envelope, flow, record.client_isn + 1, service.row)
    handshake_end(proxy, record)
    connection_close(proxy, conn, STATE_REFUSED, service.row)
    return VERDICT_ABSORB


# The RST that told the client was lost; say it again, unless the ports are used anew.
cdef uint8_t client_refused(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn,
                            Proof *proof) noexcept nogil:
    cdef Envelope envelope
    if segment.flags & TCP_RST:
        return NO_CONNECTION
    if segment.ack != conn.isn + 1:
        return client_reopens(proxy, segment, flow, service, conn, proof, COOKIE_INVALID)
    envelope_take(&envelope, segment)
    envelope_reverse(&envelope)
    segment.frame_bytes = client_rst_compose(segment.frame, &envelope, conn)
    count(proxy.rows, service.row, ORIGINATED)
    return VERDICT_TO_CLIENT


cdef uint8_t client_reopens(Proxy *proxy, Segment *segment, const Flow *flow,
                            const Service *service, Connection *conn, Proof *proof,
                            uint8_t otherwise) noexcept nogil:
    cdef HalfOpen *record
    cdef Envelope envelope
    cdef uint32_t pacer
    cdef uint8_t beyond
    if (not segment_is_plain_ack(segment) or superseded_has(proxy.superseded, flow, segment.ack - 1)
            or not proof_holds(proof, proxy, segment, flow, service)):
        return otherwise
    beyond = opening_ask(proxy, flow, service, &pacer)
    if beyond != VERDICT_NONE:
        return beyond
    if conn.state == STATE_SYN_SENT:
        entry_begin(proxy.table, conn)      # its record may be the one that is taken
        handshake_end(proxy, &proxy.half_open.records[conn.client_ack])
    record = room_take(proxy)
    if record == NULL:
        return HALF_OPEN_FULL
    if conn.state == STATE_ESTABLISHED or conn.state == STATE_HALF_CLOSED:
        envelope_take(&envelope, segment)
        server_rst_push(proxy, &envelope, flow, conn.server_ack, service.row)
    superseded_note(proxy.superseded, flow, conn.isn)
    count(proxy.rows, service.row, CONN_REOPENED)
    return connection_open(proxy, segment, service, conn, record, proof, pacer)
