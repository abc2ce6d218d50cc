"""SYN cookies: the client's handshake, remembered in what we send.

Reading list: RFC 4987 §3.6; RFC 7323 §5.4.  Pure: no clock, no table; callers pass `now_s`
and keys.

The MAC is made of a digest, SipHash-2-4 under the epoch's key over 48 bytes, and the client's ISN:

    | client address 128 | server address 128 | client port 16 server port 16 0 32 |
    | service tag 32  announced wscale 4  epoch's parity 1  timestamps 1  option word 26 |

The address family needs no field: IPv4 addresses are hashed behind ::ffff:0:0/96.  The ISN is mixed
in afterwards, by a bijection without a key (cookie_mac), so that one digest serves both readings of
an ACK, which differ in the ISN alone.  The digest is the secret: to whom it is not known, each MAC
is as likely as any.  Who has seen cookies of its own may work out the digest of its own flow,
options and epoch, and with it prove what it has proven, that it gets what is sent there; no
other's.

With timestamps our TSval may be any 32 bits, since it is translated for ever after:

    ISN   : | MAC 63..32                                                          32 |
    TSval : | MAC 31..23 9 | epoch 1 | ECN 1 | SACK 2 | wscale 4 | announced 4 | MSS 11 |

Without timestamps the ISN carries all, the options as one of sixteen rows:

    ISN   : | MAC 63..37  27 | epoch 1 | row 4 |

A blind ACK is taken where its numbers carry the MAC that belongs to them.  Two readings are
tried, as third ACK and as window probe (G5: seq is the ISN itself), so:

    with timestamps     its TSecr names epoch and options, the MAC has 41 bits:
                        2 x 2^-41 = 2^-40
    without             each ISN names one epoch and one row, the MAC has 27 bits:
                        2 x 2^-27 = 2^-26

With timestamps an MSS below 1920 is kept exactly, a longer one within 64 bytes; SACK and wscale
are kept as the client offered them and as we announced them, which is what we had learned of its
server by then.  So a cookie is good whatever has been learned since, and on any box that has the
same master.

Without, a row is an MSS, SACK and wscale.  MSS classes lie 4 % apart where there is SACK; kept
are the scales that hosts offer as they are installed: 10 (Linux 6.18), 8 (Windows), 7 (Linux
before) and 6 (FreeBSD, macOS), of which shorter segments have fewer; others are rounded down, and
those below 6 left out.  So no segment grows too long and no window opens too far; but no MSS is
taken for less than 536, which every host accepts (RFC 1122 §3.3.2: datagrams of 576 bytes).

What we announce as our own wscale is then not carried but hashed: there is no room to say what
was learned of the server, so it is the service's.  When an operator changes it, cookies under the
former one stay good, since the change is announced from the next epoch on: an epoch has one scale,
and those of the last three are known.

Two epochs of COOKIE_EPOCH_S are live: a cookie is accepted for at least one epoch and at
most two.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.service cimport Service
from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.segment cimport Flow, Segment
from cython_core.wire.siphash cimport SipKey

cdef enum:
    COOKIE_EPOCH_S = 60         # design/protocol §3: at most 60 s an epoch
    COOKIE_ROWS = 16            # sets of options that an ISN alone can name
    MSS_DEFAULT_IPV4 = 536      # bytes, where a SYN names none: RFC 9293 §3.7.1
    MSS_DEFAULT_IPV6 = 1220
    # With timestamps, 2^11 codes: an MSS of its own up to here, then one for each 64 bytes.
    COOKIE_MSS_EXACT = 1920
    COOKIE_MSS_STEP = 64
    COOKIE_MSS_CODES = 1 << 11


# Where the fields of the drawings above begin.
cdef enum:
    BITS_PARITY_AT = 27         # cookie_bits: | announced wscale 4 | parity 1 | ts 1 | word 26 |
    BITS_TIMESTAMPS_AT = 26
    BITS_WSCALE_AT = 28
    # Option word with timestamps: | ECN | SACK announced | SACK | wscale 4 | announced 4 | MSS 11 |
    WORD_ANNOUNCED_AT = 11
    WORD_WSCALE_AT = 15
    WORD_SACK_AT = 19
    WORD_SACK_ANNOUNCED_AT = 20
    WORD_ECN_AT = 21
    TSVAL_EPOCH_AT = 22
    TSVAL_MAC_AT = 23
    ISN_EPOCH_AT = 4
    ISN_MAC_AT = 5
    MAC_UNUSED_BITS = 37        # of 64, without timestamps


# The keys of two epochs, by the parity of their number.
cdef struct CookieKeys:
    SipKey epoch[2]
    uint32_t number             # the current epoch: now_s // COOKIE_EPOCH_S


# What a client had offered, as far as the service has it, and what we had answered.
cdef struct Offer:
    uint16_t mss                # bytes; RFC 9293 §3.7.1's default where there was no option
    uint16_t announced_mss      # not remembered
    uint8_t wscale              # shift.cnt, or WSCALE_ABSENT
    uint8_t announced_wscale    # what we had announced, or WSCALE_ABSENT
    uint8_t sack                # booleans, in a byte each: a burst has many of these
    uint8_t announced_sack
    uint8_t timestamps
    uint8_t ecn                 # remembered only together with timestamps


# One end's numbers in the SYN-ACK.
cdef struct Cookie:
    uint32_t isn
    uint32_t tsval              # meaningful with timestamps


# Keys of the epoch of `now_s` (seconds since 1970, so that boxes agree) and the one before.
cdef void cookie_keys_derive(CookieKeys *keys, const Secrets *secrets,
                             uint64_t now_s) noexcept nogil

# The number of the epoch with that parity: the current one, or the one before.
cdef inline uint32_t cookie_epoch(const CookieKeys *keys, uint32_t parity) noexcept nogil:
    return keys.number - ((keys.number ^ parity) & 1)

# What of a SYN's offer `service` takes and the cookie can keep, and what the SYN-ACK says of it;
# `learned` is the server's word (proxy/learned).
cdef void cookie_offer(Offer *offer, const Segment *syn, const Service *service, uint64_t learned,
                       const CookieKeys *keys) noexcept nogil

# The code of an MSS with timestamps, rounded down; and back.
cdef inline uint32_t cookie_mss_code(uint32_t mss) noexcept nogil:
    cdef uint32_t code = mss
    if mss >= COOKIE_MSS_EXACT:
        code = COOKIE_MSS_EXACT + (mss - COOKIE_MSS_EXACT) // COOKIE_MSS_STEP
    return code if code < COOKIE_MSS_CODES else COOKIE_MSS_CODES - 1

cdef inline uint16_t cookie_mss(uint32_t code) noexcept nogil:
    if code < COOKIE_MSS_EXACT:
        return <uint16_t>code
    return <uint16_t>(COOKIE_MSS_EXACT + (code - COOKIE_MSS_EXACT) * COOKIE_MSS_STEP)

# The row of an offer without timestamps.
cdef uint32_t cookie_row(const Offer *offer, uint8_t family) noexcept nogil

# The option word with the flags beside it, as hashed, in the epoch with that parity.
cdef inline uint32_t cookie_bits(const Offer *offer, uint8_t family,
                                 uint32_t parity) noexcept nogil:
    cdef uint32_t word
    if offer.timestamps:
        word = (cookie_mss_code(offer.mss) | <uint32_t>offer.announced_wscale << WORD_ANNOUNCED_AT
                | <uint32_t>offer.wscale << WORD_WSCALE_AT | <uint32_t>offer.sack << WORD_SACK_AT
                | <uint32_t>offer.announced_sack << WORD_SACK_ANNOUNCED_AT
                | <uint32_t>offer.ecn << WORD_ECN_AT | 1u << BITS_TIMESTAMPS_AT)
    else:
        word = cookie_row(offer, family)
    return (word | (parity & 1) << BITS_PARITY_AT
            | <uint32_t>offer.announced_wscale << BITS_WSCALE_AT)

# The digest's input as six words, `stride` words apart (siphash_lanes wants lanes).  `bits` is
# what cookie_bits returned.
cdef inline void cookie_words(uint64_t *words, uint32_t stride, const Flow *flow,
                              uint32_t service_tag, uint32_t bits) noexcept nogil:
    words[0] = load64_raw(flow.client_address)
    words[stride] = load64_raw(flow.client_address + 8)
    words[2 * stride] = load64_raw(flow.server_address)
    words[3 * stride] = load64_raw(flow.server_address + 8)
    words[4 * stride] = <uint64_t>flow.client_port << 48 | <uint64_t>flow.server_port << 32
    words[5 * stride] = <uint64_t>service_tag << 32 | bits

# The MAC of a client's ISN.  SplitMix64's step and mix (Steele, Lea, Flood 2014): each bit that
# goes in turns each that comes out half of the time.
cdef inline uint64_t cookie_mac(uint64_t digest, uint32_t isn) noexcept nogil:
    cdef uint64_t mac = digest + isn * <uint64_t>0x9E3779B97F4A7C15
    mac = (mac ^ mac >> 30) * <uint64_t>0xBF58476D1CE4E5B9
    mac = (mac ^ mac >> 27) * <uint64_t>0x94D049BB133111EB
    return mac ^ mac >> 31

# The numbers to send: from the MAC and the bits that it was made with.
cdef inline void cookie_from_mac(Cookie *cookie, uint64_t mac, uint32_t bits) noexcept nogil:
    cdef uint32_t parity = bits >> BITS_PARITY_AT & 1
    cdef uint32_t word = bits & ((1u << BITS_TIMESTAMPS_AT) - 1)
    if bits >> BITS_TIMESTAMPS_AT & 1:
        cookie.isn = <uint32_t>(mac >> 32)
        cookie.tsval = (<uint32_t>mac >> TSVAL_MAC_AT << TSVAL_MAC_AT
                        | parity << TSVAL_EPOCH_AT | word)
    else:
        cookie.isn = (<uint32_t>(mac >> MAC_UNUSED_BITS) << ISN_MAC_AT
                      | parity << ISN_EPOCH_AT | word)
        cookie.tsval = 0

# Whether these are the numbers of that MAC; `bits` are those that it was made with.
cdef inline bint cookie_agrees(const Cookie *cookie, uint64_t mac, uint32_t bits) noexcept nogil:
    cdef Cookie expected
    cookie_from_mac(&expected, mac, bits)
    return expected.isn == cookie.isn and (
        not bits >> BITS_TIMESTAMPS_AT & 1 or expected.tsval == cookie.tsval)

# What `cookie` says of the client's offer, believed or not: the bits that it would have been made
# with; and the offer itself.
cdef inline uint32_t cookie_named(const Cookie *cookie, bint timestamps, const Service *service,
                                  const CookieKeys *keys) noexcept nogil:
    cdef uint32_t word
    if not timestamps:
        return cookie_named_row(cookie, service, keys)
    word = cookie.tsval & ((1u << TSVAL_EPOCH_AT) - 1)
    return (word | 1u << BITS_TIMESTAMPS_AT
            | (cookie.tsval >> TSVAL_EPOCH_AT & 1) << BITS_PARITY_AT
            | (word >> WORD_ANNOUNCED_AT & 15) << BITS_WSCALE_AT)

cdef uint32_t cookie_named_row(const Cookie *cookie, const Service *service,
                               const CookieKeys *keys) noexcept nogil
cdef void cookie_read(uint32_t bits, uint8_t family, Offer *offer) noexcept nogil

# The key of the epoch that `bits` name.
cdef inline const SipKey *cookie_key_of(const CookieKeys *keys, uint32_t bits) noexcept nogil:
    return &keys.epoch[bits >> BITS_PARITY_AT & 1]
