"""Who owns a flow: a function of the flow alone, the same in both directions.

Where both ports spread frames by the same symmetric hash (dpdk/rss), the owner is the worker that
the flow's frames come to: the ports' hash is worked out here again, so that an ICMP error, which
comes elsewhere, finds it, too.  Everywhere else it is the table's digest that says, whose key
nobody outside knows.  What a NIC does otherwise than told is handed over, and lost never.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.wire.byteorder cimport be16toh, load64_raw
from cython_core.wire.segment cimport Flow

cdef enum:
    BUCKETS_MAX = 512           # of a port's redirection table; one of more repeats them
    # Sixteen bits that repeat all through a Toeplitz key make it symmetric: Woo and Park, "Scalable
    # TCP Session Monitoring with Symmetric Receive-side Scaling", 2012, whose bits these are.
    RSS_KEY_WORD = 0x6D5A


cdef struct Owners:
    uint32_t workers
    uint32_t buckets            # a power of two; 0: the digest says
    uint8_t bucket_owner[BUCKETS_MAX]


# The low half of the Toeplitz hash over addresses and ports; the high half is the same.  Each word
# of 16 bits meets the same bits of the key, so all depends on the xor of the words alone.
cdef inline uint16_t rss_hash(const Flow *flow) noexcept nogil:
    cdef uint64_t fold = (load64_raw(flow.client_address) ^ load64_raw(flow.client_address + 8)
                          ^ load64_raw(flow.server_address)
                          ^ load64_raw(flow.server_address + 8))
    cdef uint32_t key = <uint32_t>RSS_KEY_WORD << 16 | RSS_KEY_WORD
    cdef uint32_t word, bit
    cdef uint32_t hashed = 0
    fold ^= fold >> 32
    fold ^= fold >> 16
    word = be16toh(<uint16_t>fold) ^ flow.client_port ^ flow.server_port
    for bit in range(16):
        hashed ^= key >> (16 - bit) & -(word >> (15 - bit) & 1)
    return <uint16_t>hashed


# By the digest: its top bits, for the table's buckets are found by the low ones.
cdef inline uint32_t owner_of(const Owners *owners, uint64_t digest,
                              const Flow *flow) noexcept nogil:
    if owners.buckets:
        return owners.bucket_owner[rss_hash(flow) & (owners.buckets - 1)]
    return <uint32_t>((digest >> 48) * owners.workers >> 16)
