"""Capture: copies of frames for whoever looks at the wire, as they come and as they leave.

A worker copies frames that the filter lets through into a ring of its own, which the control thread
empties; what finds it full is lost to the capture, and counted.  Off, it costs a worker a look a
turn and a predicted branch a burst; on, a look at each frame and a copy of what is let through.

Received frames are copied before anything is decided, since they may be rewritten in place, and
get their fate afterwards.  So do those that leave, for a port may free at once what it takes.
Where only drops are asked for they are copied afterwards, for what is dropped was not touched.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.dpdk.rte cimport rte_mbuf
from cython_core.proxy.burst cimport Burst
from cython_core.proxy.service cimport Snapshot
from cython_core.wire.prefix cimport Prefix

cdef enum:
    CAPTURE_RECORDS = 1024      # in a ring; a power of two
    CAPTURE_BYTES_MAX = 2016    # of one frame
    CAPTURE_PENDING = 512       # frames at once whose fate is awaited: of a burst, or an outlet
    # Verdicts besides those of proxy/synproxy.
    CAPTURE_TX_FULL = 0xFE      # it was to leave, and its port would not take it
    CAPTURE_SKIP = 0xFF         # another worker has the frame, and captures it


cdef struct CaptureFilter:
    bint received               # which frames: those that come ...
    bint sent                   # ... and those that leave
    bint drops                  # only those that are dropped for one of the `reasons` ...
    bint tx_full                # ... or this one
    bint flows                  # only those of the service, prefix and port below
    uint32_t reasons            # a bit each, from DROP_FIRST on
    uint32_t service            # its slot, plus 1; or 0: any
    uint16_t port               # of either end, or 0: any
    uint16_t snap_bytes         # of each frame
    uint32_t record_bytes       # from a record to the next: whole cache lines, and no more of them
    Prefix prefix               # of either end


cdef struct CaptureRecord:
    uint64_t time_ns            # since 1970
    uint16_t frame_bytes
    uint16_t captured_bytes
    uint8_t side                # of the port: SIDE_CLIENT or SIDE_SERVER
    uint8_t sent
    uint8_t verdict             # of one that leaves: CAPTURE_TX_FULL, or none
    uint8_t padding[17]
    # Of the filter's snap length.
    uint8_t frame[CAPTURE_BYTES_MAX]


cdef struct Capture:
    # By the control thread, in a line of its own.
    uint64_t read               # of all times
    uint64_t padding[7]
    # By the worker.
    uint64_t written            # of all times; a store-release
    uint64_t lost               # likewise
    uint64_t read_seen          # `read`, as it was when last looked at
    uint64_t now_ns
    const Snapshot *snapshot
    CaptureFilter filter
    uint32_t pending            # records behind `written` that have no fate yet
    uint32_t at[CAPTURE_PENDING]        # their frames in the burst, or in the outlet
    CaptureRecord record[CAPTURE_RECORDS]   # room for so many of the longest


cdef inline CaptureRecord *capture_record(Capture *capture, uint64_t number) noexcept nogil:
    return <CaptureRecord *>(<uint8_t *>capture.record
                             + number % CAPTURE_RECORDS * capture.filter.record_bytes)


# Frames that have come, parsed: before the stages that decide, and behind them.
cdef void capture_received(Capture *capture, const Burst *burst) noexcept nogil
cdef void capture_decided(Capture *capture, const Burst *burst) noexcept nogil

# Frames that are about to leave by a side's port; and those of them behind the first `taken`, that
# it would not take, are still there.
cdef void capture_leaving(Capture *capture, rte_mbuf **mbufs, uint32_t count,
                          uint32_t side) noexcept nogil
cdef void capture_sent(Capture *capture, rte_mbuf **mbufs, uint32_t count, uint32_t side,
                       uint32_t taken) noexcept nogil
