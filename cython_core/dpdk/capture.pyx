from libc.string cimport memcpy, memset

from cython_core.dpdk.rte cimport shim_load_acquire64, shim_mbuf_data, shim_store_release64
from cython_core.proxy.burst cimport BURST_FRAMES
from cython_core.proxy.counters cimport DROP_FIRST
from cython_core.proxy.service cimport Service, snapshot_match
from cython_core.proxy.slots cimport row_slot
from cython_core.proxy.synproxy cimport VERDICT_NONE
from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.prefix cimport prefix_covers
from cython_core.wire.segment cimport Segment, segment_parse

cdef extern from "<endian.h>" nogil:
    uint64_t le64toh(uint64_t) noexcept

cdef extern from *:
    int __builtin_ctzll(unsigned long long) noexcept nogil
    int __builtin_popcountll(unsigned long long) noexcept nogil

if BURST_FRAMES > CAPTURE_PENDING or BURST_FRAMES != 64:
    raise ImportError("capture: a burst has more frames than are awaited at once, or a mask's bits")


cdef void capture_received(Capture *capture, const Burst *burst) noexcept nogil:
    capture.pending = 0
    if capture.filter.received and not capture.filter.drops:
        burst_take(capture, burst)


cdef void capture_decided(Capture *capture, const Burst *burst) noexcept nogil:
    cdef uint32_t i
    cdef uint8_t verdict
    if capture.filter.drops:
        burst_take(capture, burst)
    for i in range(capture.pending):
        verdict = burst.verdict[capture.at[i]]
        record_at(capture, i).verdict = CAPTURE_SKIP if verdict == VERDICT_NONE else verdict
    pending_tell(capture)


cdef void capture_leaving(Capture *capture, rte_mbuf **mbufs, uint32_t count,
                          uint32_t side) noexcept nogil:
    capture.pending = 0
    if capture.filter.sent and not capture.filter.drops:
        record_leaving(capture, mbufs, 0, count, side)


cdef void capture_sent(Capture *capture, rte_mbuf **mbufs, uint32_t count, uint32_t side,
                       uint32_t taken) noexcept nogil:
    cdef uint32_t i
    if capture.filter.tx_full:
        record_leaving(capture, mbufs, taken, count, side)
    for i in range(capture.pending):
        record_at(capture, i).verdict = VERDICT_NONE if capture.at[i] < taken else CAPTURE_TX_FULL
    pending_tell(capture)


cdef inline void pending_tell(Capture *capture) noexcept nogil:
    shim_store_release64(&capture.written, capture.written + capture.pending)
    capture.pending = 0


# Where a flood is captured the ring is full most of the time: then its frames cost no more than to
# be counted.
cdef void burst_take(Capture *capture, const Burst *burst) noexcept nogil:
    cdef uint64_t wanted = frames_wanted(capture, burst)
    if wanted == 0:
        return
    if not has_room(capture):
        shim_store_release64(&capture.lost, capture.lost + __builtin_popcountll(wanted))
        return
    while wanted != 0:
        record_received(capture, burst, __builtin_ctzll(wanted))
        wanted &= wanted - 1


# A bit each.
cdef inline uint64_t frames_wanted(const Capture *capture, const Burst *burst) noexcept nogil:
    cdef uint64_t among = drops_wanted(capture, burst)
    cdef uint64_t wanted = 0
    cdef uint32_t i
    if not capture.filter.flows:
        return among
    while among != 0:
        i = __builtin_ctzll(among)
        wanted |= <uint64_t>is_of_flow(capture, &burst.segment[i], burst.from_client) << i
        among &= among - 1
    return wanted


# Without a branch on what became of a frame, which in an attack is any of several things: each run
# of reasons that are asked for is one comparison, of as many frames at once as a vector has bytes.
cdef inline uint64_t drops_wanted(const Capture *capture, const Burst *burst) noexcept nogil:
    cdef uint64_t frames = ~<uint64_t>0 >> (BURST_FRAMES - burst.count)
    cdef uint8_t wanted[BURST_FRAMES]
    cdef uint64_t left = capture.filter.reasons
    cdef uint8_t first = DROP_FIRST
    cdef uint8_t skipped, run
    cdef uint32_t i
    if not capture.filter.drops:
        return frames
    memset(wanted, 0, BURST_FRAMES)
    while left != 0:
        skipped = <uint8_t>__builtin_ctzll(left)
        run = <uint8_t>__builtin_ctzll(~(left >> skipped))
        first += skipped
        for i in range(BURST_FRAMES):
            wanted[i] |= <uint8_t>(burst.verdict[i] - first) < run
        first += run
        left >>= skipped + run
    return bytes_bits(wanted) & frames


# A bit of each byte, which is 0 or 1: the product has those of eight bytes side by side in its top.
cdef inline uint64_t bytes_bits(const uint8_t *bytes_) noexcept nogil:
    cdef uint64_t bits = 0
    cdef uint32_t i
    for i in range(0, BURST_FRAMES, 8):
        bits |= le64toh(load64_raw(bytes_ + i)) * <uint64_t>0x0102040810204080 >> 56 << i
    return bits


cdef inline bint is_wanted(const Capture *capture, const Segment *segment,
                           bint from_client) noexcept nogil:
    return not capture.filter.flows or is_of_flow(capture, segment, from_client)


cdef bint is_of_flow(const Capture *capture, const Segment *segment,
                     bint from_client) noexcept nogil:
    cdef const CaptureFilter *filter = &capture.filter
    cdef const Service *service
    if not (prefix_covers(&filter.prefix, segment.source)
            or prefix_covers(&filter.prefix, segment.destination)):
        return False
    if filter.port != 0 and filter.port != segment.sport and filter.port != segment.dport:
        return False
    if filter.service == 0:
        return True
    if from_client:
        service = snapshot_match(capture.snapshot, segment.destination, segment.dport)
    else:
        service = snapshot_match(capture.snapshot, segment.source, segment.sport)
    return service != NULL and row_slot(service.row) + 1 == filter.service


cdef inline CaptureRecord *record_at(Capture *capture, uint32_t ahead) noexcept nogil:
    return capture_record(capture, capture.written + ahead)


cdef inline bint is_full(const Capture *capture) noexcept nogil:
    return capture.written + capture.pending - capture.read_seen >= CAPTURE_RECORDS


cdef inline bint has_room(Capture *capture) noexcept nogil:
    if is_full(capture):
        # Only now, for its line is the control thread's, which writes it.
        capture.read_seen = shim_load_acquire64(&capture.read)
    return not is_full(capture)


# A record behind those that are pending, with the frame, or NULL: there is no room.
cdef CaptureRecord *record_make(Capture *capture, const uint8_t *frame,
                                uint16_t frame_bytes) noexcept nogil:
    cdef CaptureRecord *record = record_at(capture, capture.pending)
    if not has_room(capture):
        shim_store_release64(&capture.lost, capture.lost + 1)
        return NULL
    record.time_ns = capture.now_ns
    record.frame_bytes = frame_bytes
    record.captured_bytes = frame_bytes
    if frame_bytes > capture.filter.snap_bytes:
        record.captured_bytes = capture.filter.snap_bytes
    memcpy(record.frame, frame, record.captured_bytes)
    return record


cdef void record_received(Capture *capture, const Burst *burst, uint32_t i) noexcept nogil:
    cdef const Segment *segment = &burst.segment[i]
    cdef CaptureRecord *record = record_make(capture, segment.frame, segment.frame_bytes)
    if record == NULL:
        return
    record.side = not burst.from_client
    record.sent = False
    capture.at[capture.pending] = i
    capture.pending += 1


# Those from `first` on.
cdef void record_leaving(Capture *capture, rte_mbuf **mbufs, uint32_t first, uint32_t count,
                         uint32_t side) noexcept nogil:
    cdef Segment segment
    cdef CaptureRecord *record
    cdef uint32_t i
    for i in range(first, count):
        segment.frame = shim_mbuf_data(mbufs[i])
        segment.frame_bytes = mbufs[i].data_len
        segment.room_bytes = mbufs[i].data_len
        if capture.filter.flows:
            segment_parse(&segment)
        # To the server is from the client.
        if not is_wanted(capture, &segment, side != 0):
            continue
        record = record_make(capture, segment.frame, segment.frame_bytes)
        if record != NULL:
            record.side = <uint8_t>side
            record.sent = True
            capture.at[capture.pending] = i
            capture.pending += 1
