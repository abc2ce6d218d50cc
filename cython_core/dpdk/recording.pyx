from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memset

from cython_core.dpdk.capture cimport (
    CAPTURE_BYTES_MAX, CAPTURE_SKIP, CAPTURE_TX_FULL, Capture, CaptureFilter, CaptureRecord,
    capture_record,
)
from cython_core.dpdk.rte cimport (
    shim_load_acquire32, shim_load_acquire64, shim_store_release32, shim_store_release64,
)
from cython_core.proxy.counters cimport DROP_FIRST
from cython_core.wire.cache cimport CACHE_LINE_BYTES
from cython_core.wire.prefix cimport prefix_set

from cython_core.proxy.counters import DROP_REASONS

SNAP_BYTES_MAX = CAPTURE_BYTES_MAX
TX_FULL = "tx_full"
# Why a frame is dropped: one that has come, or one that was to leave.
REASONS = (*DROP_REASONS, TX_FULL)


cdef bint recording_begin(Crew *crew, wanted) except? False:
    cdef uint32_t index
    cdef Capture *capture
    # Each has seen the end of the one before: none is about to copy its filter.
    for index in range(crew.count):
        if shim_load_acquire32(&crew.worker[index].progress.capture) != crew.captures:
            return False
    filter_compile(&crew.capture_filter, wanted)
    for index in range(crew.count):
        capture = crew.worker[index].capture
        shim_store_release64(&capture.read, shim_load_acquire64(&capture.written))
    crew.captures += 1
    crew.orders.capture_filter = &crew.capture_filter
    shim_store_release32(&crew.orders.capture, crew.captures)
    return True


cdef int filter_compile(CaptureFilter *filter, wanted) except -1:
    cdef bytes address
    memset(filter, 0, sizeof(CaptureFilter))
    filter.received, filter.sent = wanted.received, wanted.sent
    filter.drops = bool(wanted.reasons)
    filter.tx_full = TX_FULL in wanted.reasons
    for reason in wanted.reasons - {TX_FULL}:
        filter.reasons |= <uint32_t>1 << <uint32_t>DROP_REASONS.index(reason)
    filter.service = 0 if wanted.slot is None else <uint32_t>wanted.slot + 1
    filter.port = wanted.port
    filter.snap_bytes = min(wanted.snap_bytes, CAPTURE_BYTES_MAX)
    filter.record_bytes = cache_lines(
        sizeof(CaptureRecord) - CAPTURE_BYTES_MAX + filter.snap_bytes) * CACHE_LINE_BYTES
    if wanted.prefix is not None:
        address, bits = wanted.prefix
        prefix_set(&filter.prefix, <const uint8_t *>address, bits)
    filter.flows = filter.service != 0 or filter.port != 0 or wanted.prefix is not None
    return 0


cdef inline uint32_t cache_lines(uint32_t size_bytes) noexcept:
    return (size_bytes + CACHE_LINE_BYTES - 1) // CACHE_LINE_BYTES


cdef tuple recording_take(Crew *crew):
    cdef uint64_t lost = 0
    cdef uint64_t written, at
    cdef uint32_t index
    cdef Capture *capture
    records = []
    for index in range(crew.count):
        capture = crew.worker[index].capture
        written = shim_load_acquire64(&capture.written)
        for at in range(capture.read, written):
            take(capture_record(capture, at), records)
        # Once for all, or a worker that finds it full would wait for each.
        shim_store_release64(&capture.read, written)
        lost += shim_load_acquire64(&capture.lost)
    return records, lost


cdef int take(const CaptureRecord *record, list records) except -1:
    if record.verdict == CAPTURE_SKIP:
        return 0
    reason = None
    if record.verdict == CAPTURE_TX_FULL:
        reason = TX_FULL
    elif record.verdict >= DROP_FIRST:
        reason = DROP_REASONS[record.verdict - DROP_FIRST]
    records.append((record.time_ns, record.side, bool(record.sent), reason, record.frame_bytes,
                    (<const char *>record.frame)[:record.captured_bytes]))
    return 0


cdef void recording_end(Crew *crew) noexcept:
    if crew.captures & 1:
        crew.captures += 1
        shim_store_release32(&crew.orders.capture, crew.captures)
