"""One counter per fate: what happened to every frame, and why.

A worker counts into one row per service (row 0: frames of no service), so its total is the
sum of its rows and nothing is counted twice.  Every received frame has exactly one fate:

    received = bridged + translated + consumed + sum of the drop reasons
    sent + tx_full + bridge_shed = bridged + translated + originated

Names follow /proc/net/stat/synproxy where netfilter has the name.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.proxy.gate cimport Gate
from cython_core.proxy.pulse cimport Pulse

cpdef enum Counter:
    # What SYNs, forged ACKs and translated segments are counted as: a row's foremost line.
    RECEIVED
    TRANSLATED
    CONSUMED
    ORIGINATED
    SYN_RECEIVED
    SYNACK_SENT
    # Drop reasons, which are verdicts, too.  Eleven of them stand in the order of wire/segment's
    # Fault.
    COOKIE_INVALID
    NO_CONNECTION
    UNKNOWN_RATE
    FRAME_TRUNCATED
    IP_MALFORMED
    IP_CHECKSUM
    EXTENSION_MALFORMED
    TCP_TRUNCATED
    TCP_MALFORMED
    TCP_OPTIONS
    TCP_CHECKSUM
    PORT_ZERO
    LAND
    MARTIAN
    FRAGMENT
    FLAGS_INVALID
    RST_OUT_OF_WINDOW
    RST_PREMATURE
    SERVER_NOT_READY
    SYNACK_UNEXPECTED
    DRAINING
    SOURCE_BOUND
    SERVICE_BOUND
    PACING_FULL
    TABLE_FULL
    HALF_OPEN_FULL
    NO_BUFFER
    INBOX_FULL
    # The other fate of frames.
    BRIDGED
    # The handshake with the client.
    COOKIE_VALID
    COOKIE_RETRANS
    CONN_REOPENED
    # What becomes of frames that leave; counted of no service.
    SENT
    TX_FULL
    BRIDGE_SHED
    # Client segments that wait for their server.
    EARLY_HELD
    EARLY_DELIVERED
    EARLY_DISCARDED
    EARLY_DISPLACED
    WINDOW_REPEATED
    # The handshake with the server.
    SERVER_SYN_SENT
    SERVER_SYN_PACED
    SERVER_SYN_RETRANS
    SERVER_ESTABLISHED
    SERVER_REFUSED
    SERVER_UNREACHABLE
    SERVER_TIMEOUT
    PACING_TIMEOUT
    SERVER_CHALLENGED
    SERVER_RST_SENT
    SERVER_OPENED
    OPTIONS_LEARNED
    OPTIONS_NOT_KEPT
    OPTIONS_DIFFER
    # Connections whose handshake was not ours.
    SYN_PASSED
    COOKIES_ON
    COOKIES_OFF
    CONN_ADOPTED
    UNKNOWN_FORWARDED
    UNKNOWN_RESET
    # The end of connections.
    CONN_CLOSED
    CONN_DELETED
    CONN_REVIVED
    CONN_EXPIRED
    # What made room: proxy/room.
    CONN_EVICTED
    OPENING_EVICTED
    HALF_OPEN_EVICTED
    UNUSED_EVICTED
    IDLE_EVICTED
    WINDOW_EVICTED
    PARTING_LOST
    COUNTERS_N


cdef enum:
    DROP_FIRST = COOKIE_INVALID
    DROP_END = BRIDGED
    COUNTERS_ROOM = 79          # COUNTERS_N and more, so that a row is whole cache lines


# What a worker has for a service, on cache lines.  The pulse's last eight bytes and the counters'
# first seven share one, which is all that a SYN or a translated segment asks for, and a forged ACK
# where what is unknown is dropped.
cdef struct Row:
    Pulse pulse
    uint64_t counters[COUNTERS_ROOM]
    Gate gate                   # a line of its own: asked for new connections alone


# `rows` by Service.row.
cdef inline void count(Row *rows, uint32_t row, uint32_t counter) noexcept nogil:
    rows[row].counters[counter] += 1
