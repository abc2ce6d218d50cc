"""One worker's proxy: its state, and the words in which floor 2 answers.

Contract of the whole floor: frames in, frames out.  No clock, no DPDK, no send: the caller
sets the time, hands over a burst, and reads a verdict for each frame and what was written to
the outbox.  The way of a segment stands in burst.pyx; what a client's segments meet in
opening.pyx and from_client.pyx, a server's in answering.pyx and from_server.pyx, those of no
known connection in unknown.pyx, time in tend.pyx.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.census cimport Census
from cython_core.proxy.conntable cimport Connection, ConnTable
from cython_core.proxy.cookie cimport CookieKeys
from cython_core.proxy.activation cimport activation_pulse
from cython_core.proxy.counters cimport Row
from cython_core.proxy.events cimport Events
from cython_core.proxy.half_open cimport HalfOpen, HalfOpenPool
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.learned cimport Learned
from cython_core.proxy.links cimport Links
from cython_core.proxy.overtaken cimport Overtaken
from cython_core.proxy.parting cimport Partings
from cython_core.proxy.pulse cimport Pulse
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.service cimport Service, Snapshot
from cython_core.proxy.sources cimport Sources
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SupplyPool
from cython_core.wire.segment cimport Flow, Segment
from cython_core.wire.siphash cimport SipKey
from cython_core.wire.vector cimport Vector

cdef enum:
    WINDOW_TIMEOUT_MS = 200     # before a window update is said again; doubles with each
    OUTBOX_FRAMES = 64          # a frame makes at most one more; bursts have 64
    NS_PER_S = 1000000000
    NS_PER_MS = 1000000


# What becomes of a frame.  Values from DROP_FIRST (proxy/counters) on are drops, by reason.
cdef enum Verdict:
    VERDICT_NONE                # not decided yet
    VERDICT_BRIDGE              # to the other side, untouched
    VERDICT_TRANSLATE           # to the other side, translated
    VERDICT_TO_CLIENT           # the frame has become one of ours
    VERDICT_TO_SERVER
    VERDICT_ABSORB              # ended here, as intended


# Spare frames of the caller's, EARLY_FRAME_BYTES long or more: early data goes out of them whole.
# The first `filled` have been written and must be sent before the burst's own, so that a RST goes
# before a SYN.
cdef struct Outbox:
    uint32_t ready              # spare frames there are
    uint32_t filled
    uint8_t *frame[OUTBOX_FRAMES]
    uint16_t frame_bytes[OUTBOX_FRAMES]
    bint to_server[OUTBOX_FRAMES]


cdef struct Proxy:
    ConnTable *table
    HalfOpenPool *half_open
    Row *rows                   # of services; the first is nobody's
    SupplyPool *supplies
    Superseded *superseded
    Overtaken *overtaken
    Sources *sources            # of clients: what they have opened of late
    Links *links                # of the table's connections
    Events *events
    Learned *learned            # shared by all workers
    uint64_t *answered_ms       # likewise; of services, by row: see proxy/activation
    const Snapshot *snapshot
    Secrets secrets             # of the cookies; the same on boxes that share load
    Vector vector               # what whole bursts are hashed and verified with
    SipKey table_key            # of the table's hashes; this process's own
    CookieKeys keys
    uint64_t now_ns             # since 1970
    uint64_t now_ms
    uint16_t now_active         # ticks of ACTIVITY_TICK_S
    uint16_t sweep_tick         # the tick whose sweep goes on
    uint32_t sweep              # sweeps of the table that have begun
    uint32_t sweep_left         # entries that it has still to look at
    Census census               # what the sweeps have met
    uint32_t pulse_at           # the service of the snapshot whose pulse is settled next
    Partings partings
    Outbox outbox


# Set the time; derives the cookie keys anew where an epoch has begun.
cdef void proxy_clock(Proxy *proxy, uint64_t now_ns) noexcept nogil

# Go on with this snapshot, and with its secrets.
cdef void proxy_snapshot(Proxy *proxy, const Snapshot *snapshot) noexcept nogil

# The pulse of a service of the current snapshot.
cdef inline Pulse *pulse_of(const Proxy *proxy, const Service *service) noexcept nogil:
    return activation_pulse(proxy.rows, service, proxy.now_ms)

# A spare frame to write, or NULL; outbox_push says that it has been written.
cdef uint8_t *outbox_peek(Proxy *proxy) noexcept nogil
cdef void outbox_push(Proxy *proxy, uint16_t frame_bytes, bint to_server,
                      uint32_t row) noexcept nogil

# The least n with 2^n >= `window` << `scale`: how windows are remembered.
cdef uint8_t window_log2(uint32_t window, uint8_t scale) noexcept nogil

# Note a segment in window with FIN: one side's, or the second one's.
cdef void connection_fin(Proxy *proxy, Connection *conn, uint8_t side_flag,
                         uint32_t row) noexcept nogil

# Keep it as a tombstone: reset, or STATE_REFUSED where it never was.
cdef void connection_close(Proxy *proxy, Connection *conn, uint8_t state,
                           uint32_t row) noexcept nogil

# The RST's receiver goes on: it had got more by then than had passed here, so that the RST, exact
# here, was an old one there (RFC 5961 §3.2).
cdef void connection_revive(Proxy *proxy, Connection *conn, uint32_t row) noexcept nogil

# The server has answered, and no early data waits: the record stays only where the client may
# have to hear of the window again.
cdef void handshake_settle(Proxy *proxy, HalfOpen *record) noexcept nogil

# The SYN to the server, in a spare frame that there must be, and armed for the next; `counter` is
# what it counts as.
cdef void server_syn_push(Proxy *proxy, HalfOpen *record, const Connection *conn,
                          uint8_t counter) noexcept nogil

# A handshake with the server is over; what early data is left has nowhere to go.
cdef void handshake_end(Proxy *proxy, HalfOpen *record) noexcept nogil

# A handshake whose server is awaited no longer: its client, which believes to be connected, is
# told, in a spare frame that there must be.  `reason` is the counter.
cdef void handshake_give_up(Proxy *proxy, HalfOpen *record, uint8_t reason) noexcept nogil

# Forget it.
cdef void connection_remove(Proxy *proxy, Connection *conn) noexcept nogil

# Write the SYN to the server that `record` remembers; returns the frame's length.
cdef uint16_t server_syn_compose(uint8_t *frame, const HalfOpen *record,
                                 const Flow *flow) noexcept nogil

# Write the RST that ends a client's connection to a server that refuses or is silent; in the
# client's own sequence space.  `envelope` is that of frames to the client.
cdef uint16_t client_rst_compose(uint8_t *frame, const Envelope *envelope,
                                 const Connection *conn) noexcept nogil

# Turn a segment with ACK into the RST that its sender gets: RFC 9293 §3.5.3, group 1.
cdef void sender_reset(Proxy *proxy, Segment *segment, const Flow *flow, bint to_server,
                       uint32_t row) noexcept nogil

# Write a RST to one side with that sequence number into a spare frame, if there is one; `envelope`
# is that of frames from the client.
cdef void server_rst_push(Proxy *proxy, const Envelope *envelope, const Flow *flow,
                          uint32_t seq, uint32_t row) noexcept nogil
cdef void client_rst_push(Proxy *proxy, const Envelope *envelope, const Flow *flow,
                          uint32_t seq, uint32_t row) noexcept nogil
