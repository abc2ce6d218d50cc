"""Cookies whose connection a newer one of the same ports has replaced.

A cookie lives for up to two minutes, its connection perhaps for less: the ports may have been used
anew.  A late copy of the older one's ACK then still proves a client, and would end what this client
is doing now.  So what gave way is remembered, as a set of hashes in which a newer member displaces
an older one of its place.  It is asked only where an ACK would replace a connection.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.wire.byteorder cimport load64_raw
from cython_core.wire.segment cimport Flow

cdef enum:
    SUPERSEDED_COOKIES = 1 << 14        # 8 bytes each


cdef struct Superseded:
    uint64_t cookies[SUPERSEDED_COOKIES]


# Members are cookies that were valid, which nobody can choose: no secret is needed.
cdef inline uint64_t superseded_hash(const Flow *flow, uint32_t isn) noexcept nogil:
    cdef uint64_t mixed = load64_raw(flow.client_address) ^ load64_raw(flow.server_address)
    mixed = mixed * <uint64_t>0x9E3779B97F4A7C15 ^ load64_raw(flow.client_address + 8)
    mixed = mixed * <uint64_t>0x9E3779B97F4A7C15 ^ load64_raw(flow.server_address + 8)
    mixed = mixed * <uint64_t>0x9E3779B97F4A7C15 ^ (
        <uint64_t>flow.client_port << 48 | <uint64_t>flow.server_port << 32 | isn)
    mixed ^= mixed >> 32
    return (mixed * <uint64_t>0x9E3779B97F4A7C15) | 1       # 0: an empty place


cdef inline void superseded_keep(Superseded *superseded, uint64_t hash) noexcept nogil:
    superseded.cookies[hash >> 50] = hash


cdef inline void superseded_note(Superseded *superseded, const Flow *flow,
                                 uint32_t isn) noexcept nogil:
    superseded_keep(superseded, superseded_hash(flow, isn))


cdef inline bint superseded_has(const Superseded *superseded, const Flow *flow,
                                uint32_t isn) noexcept nogil:
    cdef uint64_t hash = superseded_hash(flow, isn)
    return superseded.cookies[hash >> 50] == hash
