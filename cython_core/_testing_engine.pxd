"""One worker's proxy to be ill-treated: small, in blocks of exact size, judged after each burst.

A judge returns NULL, or a sentence that says what is wrong.  Whatever frames come, in whatever
order and however time goes, none of them may say one:

    each frame has one fate     received = bridged + translated + consumed + drops, of all rows;
                                what left = bridged + translated + originated
    no buffer is lost           each keeps its place; the outbox is filled in order, up to `ready`
    what leaves is right        it parses, all of it is inside its buffer, its checksums agree; what
                                is bridged is as it came
    no more to a client         than came from its side in this burst, in frames and in bytes
    an active connection stays  whatever else comes: who makes room has been silent, or has ended
    the tables agree            see _testing_audit
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.burst cimport BURST_FRAMES, Burst
from cython_core.proxy.service cimport Snapshot
from cython_core.proxy.synproxy cimport OUTBOX_FRAMES, Proxy
from cython_core.wire.segment cimport Flow, Segment

cdef enum:
    ROOM_BYTES = 2048           # of a frame's buffer
    ROWS = 5                    # nobody's, and two services' with what leaves from their slots
    CONNECTIONS = 6             # few, so that what is full is met soon
    HALF_OPEN = 3
    EARLY = 4
    SUPPLIES = 2
    SERVERS = 8
    BLOCKS = 9
    SENT_MAX = BURST_FRAMES + OUTBOX_FRAMES


# What an engine begins with, and the memory that is put back to it.
cdef struct Block:
    void *now
    void *first
    size_t length


cdef struct Sent:
    bint to_server
    Segment segment             # as it parses


cdef struct Engine:
    Proxy proxy
    Proxy first                 # as it began
    Block block[BLOCKS]
    Burst burst
    Snapshot *snapshot
    Snapshot *first_snapshot
    uint8_t *buffer[BURST_FRAMES]
    uint8_t *came[BURST_FRAMES]         # a copy of each frame, as it came
    uint16_t came_bytes[BURST_FRAMES]
    uint8_t *spare[OUTBOX_FRAMES]
    uint64_t left               # frames, of all times
    uint32_t sent_count
    Sent sent[SENT_MAX]         # of the last call, in order
    uint32_t active_count
    Flow active[CONNECTIONS]    # those that were active as the burst began


# It begins with this snapshot, which becomes its own.
cdef Engine *engine_new(uint64_t now_ms, Snapshot *snapshot) except NULL

# As it began, on the same clock.
cdef void engine_reset(Engine *engine) noexcept nogil

cdef void engine_clock(Engine *engine, uint64_t now_ms) noexcept nogil

# A snapshot with the secrets of the one before, which is freed.
cdef void engine_publish(Engine *engine, Snapshot *snapshot) noexcept nogil
cdef void engine_rotate(Engine *engine, uint64_t master, uint32_t epochs) noexcept nogil

# Where the next frame of the burst is to be written, and that it has been: `tight` leaves it no
# room to grow beyond what a frame of ours takes.
cdef uint8_t *engine_next(Engine *engine) noexcept nogil
cdef void engine_add(Engine *engine, uint16_t frame_bytes, bint tight) noexcept nogil

# The burst goes through; a turn of the timers; an operator ends a connection.
cdef const char *engine_run(Engine *engine) noexcept nogil
cdef const char *engine_tend(Engine *engine) noexcept nogil
cdef const char *engine_delete(Engine *engine, const Segment *of_client) noexcept nogil
