from cython_core.dpdk.capture cimport CAPTURE_PENDING, capture_leaving, capture_sent
from cython_core.dpdk.rte cimport (
    rte_eth_tx_burst, rte_pktmbuf_alloc_bulk, rte_pktmbuf_free_bulk, rte_spinlock_lock,
    rte_spinlock_unlock, shim_mbuf_data,
)
from cython_core.dpdk.share cimport share_begin, share_note, share_of
from cython_core.proxy.counters cimport BRIDGE_SHED, SENT, TX_FULL, Row

if OUTLET_FRAMES > CAPTURE_PENDING:
    raise ImportError("outlet: it has more frames than a capture awaits at once")


cdef void outlets_reserve(Outlet *outlets, uint32_t frames, const Proxy *proxy) noexcept nogil:
    cdef uint32_t way
    for way in range(WAYS_OUT):
        if max(outlets[way].count, outlets[way].bridged_count) + frames > OUTLET_FRAMES:
            outlets_flush(outlets, proxy)
            return


cdef void outlets_flush(Outlet *outlets, const Proxy *proxy) noexcept nogil:
    cdef uint32_t side
    for side in range(SIDES):
        if outlets[side].count + outlets[side].bridged_count > 0:
            outlet_flush(&outlets[side], proxy)
    if outlets[NOWHERE].count > 0:
        rte_pktmbuf_free_bulk(outlets[NOWHERE].mbuf, outlets[NOWHERE].count)
        outlets[NOWHERE].count = 0


# What is beyond the bridged ones' share is not offered to the port.
cdef void outlet_flush(Outlet *outlet, const Proxy *proxy) noexcept nogil:
    cdef uint32_t sent, given
    share_begin(&outlet.share, proxy.now_ms)
    if outlet.count > 0:
        sent = outlet_transmit(outlet, outlet.mbuf, outlet.count, proxy.rows)
        share_note(&outlet.share, 0, sent < outlet.count)
        outlet.count = 0
    if outlet.bridged_count > 0:
        given = share_of(&outlet.share, outlet.bridged_count)
        if given < outlet.bridged_count:
            proxy.rows[0].counters[<uint32_t>BRIDGE_SHED] += outlet.bridged_count - given
            rte_pktmbuf_free_bulk(outlet.bridged + given, outlet.bridged_count - given)
        if given > 0:
            sent = outlet_transmit(outlet, outlet.bridged, given, proxy.rows)
            share_note(&outlet.share, sent, sent < given)
        outlet.bridged_count = 0


# How many the port takes; the others are freed.  The worker's rows begin with that of no service:
# what leaves is not counted by service.
cdef uint32_t outlet_transmit(Outlet *outlet, rte_mbuf **mbuf, uint32_t count,
                              Row *rows) noexcept nogil:
    cdef uint32_t sent
    if outlet.capture != NULL:
        capture_leaving(outlet.capture, mbuf, count, outlet.side)
    if outlet.shared != NULL:
        rte_spinlock_lock(outlet.shared)
    sent = rte_eth_tx_burst(outlet.port_id, outlet.queue_id, mbuf, <uint16_t>count)
    if outlet.shared != NULL:
        rte_spinlock_unlock(outlet.shared)
    if outlet.capture != NULL:
        capture_sent(outlet.capture, mbuf, count, outlet.side, sent)
    rows[0].counters[<uint32_t>SENT] += sent
    if sent < count:
        rows[0].counters[<uint32_t>TX_FULL] += count - sent
        rte_pktmbuf_free_bulk(mbuf + sent, count - sent)
    return sent


cdef void outbox_fill(Proxy *proxy, Spares *spares) noexcept nogil:
    cdef uint32_t ready = proxy.outbox.ready
    cdef uint32_t i
    if ready == OUTBOX_FRAMES:
        return
    if rte_pktmbuf_alloc_bulk(spares.pool, spares.mbuf + ready, OUTBOX_FRAMES - ready) != 0:
        return
    for i in range(ready, OUTBOX_FRAMES):
        proxy.outbox.frame[i] = shim_mbuf_data(spares.mbuf[i])
    proxy.outbox.ready = OUTBOX_FRAMES


cdef void outbox_empty(Proxy *proxy, Spares *spares, Outlet *outlets) noexcept nogil:
    cdef uint32_t filled = proxy.outbox.filled
    cdef uint32_t i
    cdef rte_mbuf *mbuf
    for i in range(filled):
        mbuf = spares.mbuf[i]
        mbuf.data_len = proxy.outbox.frame_bytes[i]
        mbuf.pkt_len = mbuf.data_len
        outlet_put(&outlets[SIDE_SERVER if proxy.outbox.to_server[i] else SIDE_CLIENT], mbuf)
    if filled > 0:
        outbox_close_ranks(proxy, spares)


# The unused frames move to the front, where floor 2 looks for them.
cdef void outbox_close_ranks(Proxy *proxy, Spares *spares) noexcept nogil:
    cdef uint32_t filled = proxy.outbox.filled
    cdef uint32_t i
    for i in range(filled, proxy.outbox.ready):
        spares.mbuf[i - filled] = spares.mbuf[i]
        proxy.outbox.frame[i - filled] = proxy.outbox.frame[i]
    proxy.outbox.ready -= filled
    proxy.outbox.filled = 0


cdef void outbox_free(Proxy *proxy, Spares *spares) noexcept nogil:
    rte_pktmbuf_free_bulk(spares.mbuf, proxy.outbox.ready)
    proxy.outbox.ready = 0
