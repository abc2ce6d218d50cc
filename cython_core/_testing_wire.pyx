"""Python doors to floor 1, for tests; not in the image.

Every frame and every option list is placed so that its last byte is the last one before a page
that nobody may read: a read past the end is a crash, not luck.  Whatever a function has to
fill is filled with 0xa5 first.  Sums and checksums are in wire order, as in the contract.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.mman cimport (
    MAP_ANONYMOUS, MAP_FAILED, MAP_PRIVATE, PROT_NONE, PROT_READ, PROT_WRITE, mmap, mprotect,
)
cimport cython_core.wire.checksum as checksum
cimport cython_core.wire.icmp as icmp
cimport cython_core.wire.options as options
cimport cython_core.wire.segment as segment
cimport cython_core.wire.seq as seq
cimport cython_core.wire.siphash as siphash
from cython_core.wire.vector cimport Vector, vector_pick

from types import SimpleNamespace

cdef enum:
    ARENA_BYTES = 1 << 17       # more than the longest frame
    GUARD_BYTES = 1 << 12
    UNTOUCHED = 0xA5

KINDS = {
    segment.KIND_OTHER: "other",
    segment.KIND_TCP: "tcp",
    segment.KIND_FRAGMENT: "fragment",
    segment.KIND_ICMP_ERROR: "icmp error",
    segment.KIND_MALFORMED: "malformed",
}
FAULTS = {
    segment.FAULT_NONE: None,
    segment.FAULT_FRAME_TRUNCATED: "frame truncated",
    segment.FAULT_IP_MALFORMED: "ip malformed",
    segment.FAULT_IP_CHECKSUM: "ip checksum",
    segment.FAULT_EXTENSION_MALFORMED: "extension malformed",
    segment.FAULT_TCP_TRUNCATED: "tcp truncated",
    segment.FAULT_TCP_MALFORMED: "tcp malformed",
    segment.FAULT_TCP_OPTIONS: "tcp options",
    segment.FAULT_TCP_CHECKSUM: "tcp checksum",
    segment.FAULT_PORT_ZERO: "port zero",
    segment.FAULT_LAND: "land",
    segment.FAULT_MARTIAN: "martian",
}
WSCALE_ABSENT = options.WSCALE_ABSENT
EXTENSIONS_MAX = segment.EXTENSIONS_MAX
SIPHASH_LANES = siphash.SIPHASH_LANES
SIPHASH_WORDS = siphash.SIPHASH_WORDS

cdef uint8_t *guard = NULL      # the first byte of the page that nobody may read


cdef int arena_map() except -1:
    global guard
    cdef uint8_t *arena = <uint8_t *>mmap(NULL, ARENA_BYTES + GUARD_BYTES, PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    if arena == <uint8_t *>MAP_FAILED or mprotect(arena + ARENA_BYTES, GUARD_BYTES, PROT_NONE):
        raise MemoryError()
    guard = arena + ARENA_BYTES
    return 0


arena_map()


# Good until the next call.
cdef uint8_t *place(bytes data) except NULL:
    if len(data) > ARENA_BYTES:
        raise ValueError("longer than the arena")
    cdef uint8_t *at = guard - len(data)
    memcpy(at, <const char *>data, len(data))
    return at


# seq -------------------------------------------------------------------------------------------

def seq_lt(uint32_t a, uint32_t b):
    return bool(seq.seq_lt(a, b))


def seq_leq(uint32_t a, uint32_t b):
    return bool(seq.seq_leq(a, b))


def seq_within(uint32_t value, uint32_t low, uint32_t high):
    return bool(seq.seq_within(value, low, high))


def seq_max(uint32_t a, uint32_t b):
    return seq.seq_max(a, b)


def ticks_since(uint16_t then, uint16_t now):
    return seq.ticks_since(then, now)


# checksum --------------------------------------------------------------------------------------

def checksum_add(bytes data, uint64_t sum=0):
    return checksum.checksum_add(place(data), len(data), sum)


def checksum_field(uint64_t sum):
    """The two bytes that a header carries for this sum."""
    cdef uint16_t value = <uint16_t>~checksum.checksum_fold(sum)
    return (<const char *>&value)[:2]


def checksum_pseudo(bytes addresses, uint32_t l4_bytes, uint8_t protocol):
    return checksum.checksum_pseudo(place(addresses), len(addresses), l4_bytes, protocol)


def checksum_delta32(uint32_t old, uint32_t new, bint odd=False):
    return checksum.checksum_delta32(old, new, odd)


def checksum_delta16(uint16_t old, uint16_t new):
    return checksum.checksum_delta16(old, new)


def checksum_apply(bytes field, uint64_t delta):
    """The two bytes of `field` after the change."""
    cdef uint8_t *at = place(field)
    checksum.checksum_apply(at, delta)
    return (<const char *>at)[:2]


# siphash ---------------------------------------------------------------------------------------

cdef siphash.SipKey sip_key(bytes key) except *:
    cdef siphash.SipKey sip
    sip.k0 = int.from_bytes(key[:8], "little")
    sip.k1 = int.from_bytes(key[8:16], "little")
    return sip


def siphash_bytes(bytes key, bytes data):
    cdef siphash.SipKey sip = sip_key(key)
    return siphash.siphash_bytes(place(data), len(data), &sip)


def siphash_words(bytes key, words):
    cdef siphash.SipKey sip = sip_key(key)
    cdef uint64_t message[siphash.SIPHASH_WORDS]
    message[:] = words
    return siphash.siphash_words(message, &sip)


def siphash_lanes(keys, messages, vector="auto"):
    """One 16-byte key and one message of six words a lane; the digests of as many lanes."""
    cdef uint64_t words[siphash.SIPHASH_WORDS][siphash.SIPHASH_LANES]
    cdef uint64_t k0[siphash.SIPHASH_LANES]
    cdef uint64_t k1[siphash.SIPHASH_LANES]
    cdef uint64_t digest[siphash.SIPHASH_LANES]
    cdef siphash.SipKey sip
    cdef Vector picked = vector_pick(vector)
    memset(words, UNTOUCHED, sizeof(words))
    memset(k0, UNTOUCHED, sizeof(k0))
    memset(k1, UNTOUCHED, sizeof(k1))
    memset(digest, UNTOUCHED, sizeof(digest))
    for lane, (key, message) in enumerate(zip(keys, messages, strict=True)):
        sip = sip_key(key)
        k0[lane] = sip.k0
        k1[lane] = sip.k1
        for w in range(siphash.SIPHASH_WORDS):
            words[w][lane] = message[w]
    picked.hash_lanes(&words[0][0], k0, k1, digest, len(keys))
    return [digest[lane] for lane in range(len(keys))]


# options ---------------------------------------------------------------------------------------

cdef options_namespace(const options.TcpOptions *parsed):
    return SimpleNamespace(
        mss=parsed.mss, wscale=parsed.wscale, sack_permitted=bool(parsed.sack_permitted),
        timestamps=bool(parsed.timestamps), tsval=parsed.tsval, tsecr=parsed.tsecr,
        tsval_at=parsed.tsval_at, sack_at=parsed.sack_at, sack_blocks=parsed.sack_blocks,
    )


def options_parse(bytes list_):
    """The options, or None where the list is malformed."""
    cdef options.TcpOptions parsed
    memset(&parsed, UNTOUCHED, sizeof(parsed))
    if not options.options_parse(place(list_), len(list_), &parsed):
        return None
    return options_namespace(&parsed)


def options_write(uint16_t mss=0, uint8_t wscale=options.WSCALE_ABSENT, bint sack_permitted=False,
                  timestamps=None):
    """The list; `timestamps` is (tsval, tsecr).  Fails where a byte past its length is touched."""
    cdef options.TcpOptions wanted
    cdef uint8_t buffer[options.OPTIONS_BYTES_MAX]
    cdef uint32_t length
    cdef uint64_t total = 0
    memset(&wanted, UNTOUCHED, sizeof(wanted))
    memset(buffer, UNTOUCHED, sizeof(buffer))
    wanted.mss = mss
    wanted.wscale = wscale
    wanted.sack_permitted = sack_permitted
    wanted.timestamps = timestamps is not None
    if timestamps is not None:
        wanted.tsval, wanted.tsecr = timestamps
    length = options.options_write(buffer, &wanted, &total)
    written = (<const char *>buffer)[:options.OPTIONS_BYTES_MAX]
    assert total == checksum.checksum_add(buffer, length, 0)
    assert written[length:] == bytes([UNTOUCHED]) * (options.OPTIONS_BYTES_MAX - length)
    return written[:length]


# segment ---------------------------------------------------------------------------------------

cdef int parse_into(bytes frame, segment.Segment *parsed) except -1:
    memset(parsed, UNTOUCHED, sizeof(segment.Segment))
    parsed.frame = place(frame)
    parsed.frame_bytes = len(frame)
    kind = segment.segment_parse(parsed)
    assert kind == parsed.kind
    assert parsed.frame == guard - len(frame) and parsed.frame_bytes == len(frame)
    assert parsed.room_bytes == UNTOUCHED << 8 | UNTOUCHED
    return 0


cdef bytes address(const uint8_t *at):
    return (<const char *>at)[:16]


def parse(bytes frame):
    """What segment_parse makes of it; `length` is SEG.LEN."""
    cdef segment.Segment parsed
    parse_into(frame, &parsed)
    return SimpleNamespace(
        kind=KINDS[parsed.kind], fault=FAULTS[parsed.fault], family=parsed.family,
        flags=parsed.flags, l3=parsed.l3, l4=parsed.l4, payload=parsed.payload,
        payload_bytes=parsed.payload_bytes, l4_bytes=parsed.l4_bytes,
        sport=parsed.sport, dport=parsed.dport, window=parsed.window,
        seq=parsed.seq, ack=parsed.ack, options=options_namespace(&parsed.options),
        source=address(parsed.source), destination=address(parsed.destination),
        length=segment.segment_length(&parsed),
    )


def verify(bytes frame, vector="auto"):
    """(whether its TCP checksum is right, the fault after it)."""
    cdef segment.Segment parsed
    cdef Vector picked = vector_pick(vector)
    parse_into(frame, &parsed)
    return picked.verify(&parsed, 1) == 0, FAULTS[parsed.fault]


def flow(bytes frame, bint from_client):
    cdef segment.Segment parsed
    cdef segment.Flow made
    parse_into(frame, &parsed)
    memset(&made, UNTOUCHED, sizeof(made))
    segment.segment_flow(&parsed, from_client, &made)
    return SimpleNamespace(
        client_address=address(made.client_address), server_address=address(made.server_address),
        client_port=made.client_port, server_port=made.server_port,
    )


# icmp ------------------------------------------------------------------------------------------

def parse_quote(bytes frame):
    """The quote, or None where the frame has none of TCP."""
    cdef segment.Segment parsed
    cdef icmp.Quote quote
    parse_into(frame, &parsed)
    memset(&quote, UNTOUCHED, sizeof(quote))
    if not icmp.icmp_parse_quote(&parsed, &quote):
        return None
    return SimpleNamespace(
        family=quote.family, l3=quote.l3, l4=quote.l4, l4_bytes=quote.l4_bytes,
        sport=quote.sport, dport=quote.dport, seq=quote.seq,
        source=address(quote.source), destination=address(quote.destination),
    )


def rewrite_quote(bytes frame, uint32_t new_seq):
    """The frame with another quoted sequence number."""
    cdef segment.Segment parsed
    cdef icmp.Quote quote
    parse_into(frame, &parsed)
    if not icmp.icmp_parse_quote(&parsed, &quote):
        raise ValueError("quotes no TCP segment")
    icmp.icmp_rewrite_seq(&parsed, &quote, new_seq)
    return (<const char *>parsed.frame)[:len(frame)]
