from libc.stdint cimport uint16_t

from cython_core.proxy.learned cimport (
    learned_ecn, learned_mss, learned_sack, learned_timestamps, learned_wscale,
)
from cython_core.proxy.secrets cimport secrets_master
from cython_core.proxy.service cimport service_wscale
from cython_core.wire.byteorder cimport store32
from cython_core.wire.options cimport WSCALE_ABSENT
from cython_core.wire.segment cimport TCP_CWR, TCP_ECE
from cython_core.wire.siphash cimport siphash_bytes

cdef struct OptionRow:
    uint16_t mss[2]             # bytes, over IPv4 and IPv6
    bint sack
    uint8_t wscale


# The first row that asks no more than a client offers is its row.  1460 and 1440 are a full
# Ethernet frame's; each next class is 4 % less; 1238 and 1220 serve a 1280-byte MTU, IPv6's
# least (RFC 8200 §5).  What clients offer is named at the head of cookie.pxd: at a full frame's MSS
# their scales are kept, below it the nearest ones beneath.
cdef OptionRow[COOKIE_ROWS] ROWS = [
    OptionRow(mss=[1460, 1440], sack=True, wscale=10),
    OptionRow(mss=[1460, 1440], sack=True, wscale=8),
    OptionRow(mss=[1460, 1440], sack=True, wscale=7),
    OptionRow(mss=[1460, 1440], sack=True, wscale=6),
    OptionRow(mss=[1460, 1440], sack=True, wscale=WSCALE_ABSENT),
    OptionRow(mss=[1460, 1440], sack=False, wscale=WSCALE_ABSENT),
    OptionRow(mss=[1401, 1382], sack=True, wscale=8),
    OptionRow(mss=[1401, 1382], sack=True, wscale=6),
    OptionRow(mss=[1401, 1382], sack=False, wscale=WSCALE_ABSENT),
    OptionRow(mss=[1344, 1326], sack=True, wscale=8),
    OptionRow(mss=[1344, 1326], sack=True, wscale=6),
    OptionRow(mss=[1344, 1326], sack=False, wscale=WSCALE_ABSENT),
    OptionRow(mss=[1290, 1272], sack=True, wscale=6),
    OptionRow(mss=[1238, 1220], sack=True, wscale=6),
    OptionRow(mss=[1238, 1220], sack=False, wscale=WSCALE_ABSENT),
    OptionRow(mss=[536, 536], sack=False, wscale=WSCALE_ABSENT),
]


cdef void cookie_keys_derive(CookieKeys *keys, const Secrets *secrets,
                             uint64_t now_s) noexcept nogil:
    cdef const SipKey *master
    cdef uint8_t[5] label
    cdef uint32_t age, epoch
    cdef SipKey *key
    keys.number = <uint32_t>(now_s // COOKIE_EPOCH_S)
    for age in range(2):
        epoch = keys.number - age
        master = secrets_master(secrets, epoch)
        key = &keys.epoch[epoch & 1]
        store32(label, epoch)
        label[4] = 0
        key.k0 = siphash_bytes(label, sizeof(label), master)
        label[4] = 1
        key.k1 = siphash_bytes(label, sizeof(label), master)


cdef void cookie_offer(Offer *offer, const Segment *syn, const Service *service, uint64_t learned,
                       const CookieKeys *keys) noexcept nogil:
    offer.timestamps = syn.options.timestamps and service.timestamps and (
        learned == 0 or learned_timestamps(learned, keys.number))
    offer.sack = syn.options.sack_permitted and service.sack
    offer.announced_sack = offer.sack
    offer.ecn = (offer.timestamps and service.ecn
                 and syn.flags & (TCP_ECE | TCP_CWR) == TCP_ECE | TCP_CWR
                 and (learned == 0 or learned_ecn(learned, keys.number)))
    offer.mss = syn.options.mss
    if offer.mss == 0:
        offer.mss = MSS_DEFAULT_IPV4 if syn.family == 4 else MSS_DEFAULT_IPV6
    offer.announced_mss = mss_announced(syn.family, service, learned)
    offer.announced_wscale = (service.wscale if offer.timestamps
                              else service_wscale(service, keys.number))
    offer.wscale = WSCALE_ABSENT if offer.announced_wscale == WSCALE_ABSENT else syn.options.wscale
    if not offer.timestamps:
        row_read(cookie_row(offer, syn.family), syn.family, offer)
    elif learned != 0:
        offer.announced_sack = offer.sack and learned_sack(learned)
        if service.wscale_auto:
            offer.announced_wscale = learned_wscale(learned)
    if offer.wscale == WSCALE_ABSENT:
        offer.announced_wscale = WSCALE_ABSENT


cdef inline uint16_t mss_announced(uint8_t family, const Service *service,
                                   uint64_t learned) noexcept nogil:
    if learned != 0 and (service.mss_auto if family == 4 else service.mss_ipv6_auto):
        return learned_mss(learned)
    return service.mss if family == 4 else service.mss_ipv6


# A scale that is absent must not be taken for one above all.
cdef uint32_t cookie_row(const Offer *offer, uint8_t family) noexcept nogil:
    cdef uint32_t at
    cdef const OptionRow *row
    for at in range(COOKIE_ROWS - 1):
        row = &ROWS[at]
        if row.mss[family == 6] > offer.mss or (row.sack and not offer.sack):
            continue
        if row.wscale == WSCALE_ABSENT or (row.wscale <= offer.wscale
                                           and offer.wscale != WSCALE_ABSENT):
            return at
    return COOKIE_ROWS - 1


cdef void row_read(uint32_t at, uint8_t family, Offer *offer) noexcept nogil:
    offer.timestamps = False
    offer.ecn = False
    offer.mss = ROWS[at].mss[family == 6]
    offer.sack = ROWS[at].sack
    offer.announced_sack = offer.sack
    offer.wscale = ROWS[at].wscale


# What it announced is the service's scale in that epoch.
cdef uint32_t cookie_named_row(const Cookie *cookie, const Service *service,
                               const CookieKeys *keys) noexcept nogil:
    cdef uint32_t parity = cookie.isn >> ISN_EPOCH_AT & 1
    cdef uint32_t at = cookie.isn & (COOKIE_ROWS - 1)
    cdef uint32_t announced = WSCALE_ABSENT
    if ROWS[at].wscale != WSCALE_ABSENT:
        announced = service_wscale(service, cookie_epoch(keys, parity))
    return at | parity << BITS_PARITY_AT | announced << BITS_WSCALE_AT


cdef void cookie_read(uint32_t bits, uint8_t family, Offer *offer) noexcept nogil:
    if bits >> BITS_TIMESTAMPS_AT & 1:
        word_read(bits, offer)
    else:
        row_read(bits & (COOKIE_ROWS - 1), family, offer)
        offer.announced_wscale = bits >> BITS_WSCALE_AT


cdef inline void word_read(uint32_t word, Offer *offer) noexcept nogil:
    offer.timestamps = True
    offer.mss = cookie_mss(word & (COOKIE_MSS_CODES - 1))
    offer.announced_wscale = word >> WORD_ANNOUNCED_AT & 15
    offer.wscale = word >> WORD_WSCALE_AT & 15
    offer.sack = word >> WORD_SACK_AT & 1
    offer.announced_sack = word >> WORD_SACK_ANNOUNCED_AT & 1
    offer.ecn = word >> WORD_ECN_AT & 1
