from libc.stdint cimport uint16_t

from cython_core.wire.byteorder cimport load64_raw, store32
from cython_core.wire.options cimport WSCALE_ABSENT
from cython_core.wire.segment cimport TCP_CWR, TCP_ECE
from cython_core.wire.siphash cimport SIPHASH_WORDS, siphash_bytes, siphash_words

cdef enum:
    BITS_PARITY_AT = 27         # cookie_bits: | announced wscale 4 | parity 1 | ts 1 | word 26 |
    BITS_TIMESTAMPS_AT = 26
    BITS_WSCALE_AT = 28
    WORD_WSCALE_AT = 16         # option word with timestamps: | ECN | SACK | wscale 4 | MSS 16 |
    WORD_SACK_AT = 20
    WORD_ECN_AT = 21
    TSVAL_EPOCH_AT = 22
    TSVAL_MAC_AT = 23
    ISN_EPOCH_AT = 5
    ISN_MAC_AT = 6
    # Below the classes: SACK and wscale are lost to clients that take less than the fifth.
    WORD_SMALL = COOKIE_CLASSES * COOKIE_SETS
    WORD_SMALL_SACK = WORD_SMALL + 1
    MSS_DEFAULT_IPV4 = 536      # bytes, where a SYN names none: RFC 9293 §3.7.1
    MSS_DEFAULT_IPV6 = 1220

cdef:
    # Bytes.  The first is a full Ethernet frame's, each next 4 % less; the fifth serves a
    # 1280-byte MTU, IPv6's least (RFC 8200 §5); the last is RFC 9293 §3.7.1's default.
    uint16_t[6] MSS_IPV4 = [1460, 1401, 1344, 1290, 1238, 536]
    uint16_t[6] MSS_IPV6 = [1440, 1382, 1326, 1272, 1220, 536]
    # Scales in use by stacks that come without timestamps: Windows 8, Linux 7, 0 to say "you
    # may scale"; 4 between them.  Others are rounded down.
    uint8_t[6] SET_WSCALE = [WSCALE_ABSENT, WSCALE_ABSENT, 0, 4, 7, 8]


cdef inline const uint16_t *mss_classes(uint8_t family) noexcept nogil:
    if family == 4:
        return MSS_IPV4
    return MSS_IPV6


cdef void cookie_keys_derive(CookieKeys *keys, const SipKey *master, uint64_t now_s) noexcept nogil:
    cdef uint8_t[5] label
    cdef uint32_t age, epoch
    cdef SipKey *key
    keys.number = <uint32_t>(now_s // COOKIE_EPOCH_S)
    for age in range(2):
        epoch = keys.number - age
        key = &keys.epoch[epoch & 1]
        store32(label, epoch)
        label[4] = 0
        key.k0 = siphash_bytes(label, sizeof(label), master)
        label[4] = 1
        key.k1 = siphash_bytes(label, sizeof(label), master)


cdef void cookie_words(uint64_t *words, uint32_t stride, const Flow *flow, uint32_t isn,
                       uint32_t service_tag, uint32_t bits) noexcept nogil:
    words[0] = load64_raw(flow.client_address)
    words[stride] = load64_raw(flow.client_address + 8)
    words[2 * stride] = load64_raw(flow.server_address)
    words[3 * stride] = load64_raw(flow.server_address + 8)
    words[4 * stride] = (<uint64_t>flow.client_port << 48 | <uint64_t>flow.server_port << 32
                         | isn)
    words[5 * stride] = <uint64_t>service_tag << 32 | bits


cdef void cookie_offer(Offer *offer, const Segment *syn, const Service *service,
                       const CookieKeys *keys) noexcept nogil:
    cdef uint8_t announced = service.wscale
    cdef const uint16_t *classes = mss_classes(syn.family)
    offer.timestamps = syn.options.timestamps and service.timestamps
    offer.sack = syn.options.sack_permitted and service.sack
    offer.ecn = (offer.timestamps and service.ecn
                 and syn.flags & (TCP_ECE | TCP_CWR) == TCP_ECE | TCP_CWR)
    offer.mss = syn.options.mss
    if offer.mss == 0:
        offer.mss = MSS_DEFAULT_IPV4 if syn.family == 4 else MSS_DEFAULT_IPV6
    if not offer.timestamps and keys.number <= service.wscale_former_until:
        announced = service.wscale_former
    offer.wscale = WSCALE_ABSENT if announced == WSCALE_ABSENT else syn.options.wscale
    if not offer.timestamps:
        word_unpack(word_pack(offer, classes), classes, offer)
    offer.announced_wscale = WSCALE_ABSENT if offer.wscale == WSCALE_ABSENT else announced


cdef uint32_t cookie_bits(const Offer *offer, uint8_t family, uint32_t parity) noexcept nogil:
    cdef uint32_t word
    if offer.timestamps:
        word = (offer.mss | <uint32_t>offer.wscale << WORD_WSCALE_AT
                | <uint32_t>offer.sack << WORD_SACK_AT | <uint32_t>offer.ecn << WORD_ECN_AT
                | 1u << BITS_TIMESTAMPS_AT)
    else:
        word = word_pack(offer, mss_classes(family))
    return (word | (parity & 1) << BITS_PARITY_AT
            | <uint32_t>offer.announced_wscale << BITS_WSCALE_AT)


cdef uint32_t word_pack(const Offer *offer, const uint16_t *classes) noexcept nogil:
    cdef uint32_t mss_class = 0
    cdef uint32_t option_set = COOKIE_SETS - 1
    while mss_class < COOKIE_CLASSES and classes[mss_class] > offer.mss:
        mss_class += 1
    if mss_class == COOKIE_CLASSES:
        return WORD_SMALL_SACK if offer.sack else WORD_SMALL
    if not offer.sack:
        option_set = 0
    elif offer.wscale == WSCALE_ABSENT:
        option_set = 1
    else:
        while SET_WSCALE[option_set] > offer.wscale:
            option_set -= 1
    return mss_class * COOKIE_SETS + option_set


cdef void word_unpack(uint32_t word, const uint16_t *classes, Offer *offer) noexcept nogil:
    cdef uint32_t option_set = word % COOKIE_SETS
    offer.timestamps = False
    offer.ecn = False
    if word >= WORD_SMALL:
        offer.mss = classes[COOKIE_CLASSES]
        offer.wscale = WSCALE_ABSENT
        offer.sack = word == WORD_SMALL_SACK
        return
    offer.mss = classes[word // COOKIE_SETS]
    offer.sack = option_set > 0
    offer.wscale = SET_WSCALE[option_set]


cdef void cookie_from_mac(Cookie *cookie, uint64_t mac, uint32_t bits) noexcept nogil:
    cdef uint32_t parity = bits >> BITS_PARITY_AT & 1
    cdef uint32_t word = bits & ((1u << BITS_TIMESTAMPS_AT) - 1)
    if bits >> BITS_TIMESTAMPS_AT & 1:
        cookie.isn = <uint32_t>(mac >> 32)
        cookie.tsval = (<uint32_t>mac >> TSVAL_MAC_AT << TSVAL_MAC_AT
                        | parity << TSVAL_EPOCH_AT | word)
    else:
        cookie.isn = (<uint32_t>(mac >> 38) << ISN_MAC_AT | parity << ISN_EPOCH_AT | word)
        cookie.tsval = 0


cdef bint cookie_check(const Cookie *cookie, bint timestamps, const Flow *flow, uint8_t family,
                       uint32_t isn, const Service *service, const CookieKeys *keys,
                       Offer *offer) noexcept nogil:
    cdef uint32_t parity
    cdef bint former_lives
    if timestamps:
        parity = cookie.tsval >> TSVAL_EPOCH_AT & 1
        offer.timestamps = True
        offer.mss = <uint16_t>cookie.tsval
        offer.wscale = cookie.tsval >> WORD_WSCALE_AT & 15
        offer.sack = cookie.tsval >> WORD_SACK_AT & 1
        offer.ecn = cookie.tsval >> WORD_ECN_AT & 1
    else:
        parity = cookie.isn >> ISN_EPOCH_AT & 1
        word_unpack(cookie.isn & 31, mss_classes(family), offer)
    former_lives = cookie_epoch(keys, parity) <= service.wscale_former_until
    offer.announced_wscale = WSCALE_ABSENT
    if offer.wscale != WSCALE_ABSENT:
        offer.announced_wscale = (service.wscale_former if former_lives and not timestamps
                                  else service.wscale)
    if mac_agrees(cookie, flow, family, isn, service.tag, parity, keys, offer):
        return True
    if not (timestamps and former_lives and offer.wscale != WSCALE_ABSENT):
        return False
    offer.announced_wscale = service.wscale_former
    return mac_agrees(cookie, flow, family, isn, service.tag, parity, keys, offer)


cdef bint mac_agrees(const Cookie *cookie, const Flow *flow, uint8_t family, uint32_t isn,
                     uint32_t service_tag, uint32_t parity, const CookieKeys *keys,
                     const Offer *offer) noexcept nogil:
    cdef uint64_t[SIPHASH_WORDS] words
    cdef Cookie expected
    cdef uint32_t bits = cookie_bits(offer, family, parity)
    cookie_words(words, 1, flow, isn, service_tag, bits)
    cookie_from_mac(&expected, siphash_words(words, &keys.epoch[parity]), bits)
    return (expected.isn == cookie.isn
            and (not offer.timestamps or expected.tsval == cookie.tsval))
