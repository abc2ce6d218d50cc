from cython_core.proxy.handshake cimport HOP_LIMIT_OURS


cdef void links_note(Links *links, const ConnTable *table, const Connection *conn,
                     const Envelope *envelope) noexcept nogil:
    cdef uint16_t *place = &links_of(links)[conntable_index(table, conn)]
    cdef Envelope link
    cdef Envelope *known
    cdef uint32_t first, probe, at
    link_take(&link, envelope)
    first = link_hash(&link)
    for probe in range(LINK_PROBES):
        at = (first + probe) % LINKS
        known = &links.envelope[at]
        if known.l2_bytes == 0:
            known[0] = link
        if link_equal(known, &link):
            place[0] = <uint16_t>(at + 1)
            return
    place[0] = LINK_NONE


# What is of the link alone: behind the tags an envelope holds bytes of the IP header.
cdef inline void link_take(Envelope *link, const Envelope *envelope) noexcept nogil:
    cdef uint32_t behind = envelope.l2_bytes - 8        # 6, 10 or 14 bytes behind the first word
    link[0] = envelope[0]
    link.hop_limit = HOP_LIMIT_OURS
    link.traffic_class = 0
    link.flow_label = 0
    if behind < 8:
        link.l2[1] &= (<uint64_t>1 << 8 * behind) - 1
        link.l2[2] = 0
    else:
        link.l2[2] &= (<uint64_t>1 << 8 * (behind - 8)) - 1


cdef inline bint link_equal(const Envelope *a, const Envelope *b) noexcept nogil:
    return (a.l2[0] == b.l2[0] and a.l2[1] == b.l2[1] and a.l2[2] == b.l2[2]
            and a.l2_bytes == b.l2_bytes)


# Its members have proven themselves, so that no secret is needed.
cdef inline uint32_t link_hash(const Envelope *link) noexcept nogil:
    cdef uint64_t mixed = link.l2[0] * <uint64_t>0x9E3779B97F4A7C15 ^ link.l2[1]
    mixed = mixed * <uint64_t>0x9E3779B97F4A7C15 ^ link.l2[2]
    return <uint32_t>(mixed * <uint64_t>0x9E3779B97F4A7C15 >> 40)
