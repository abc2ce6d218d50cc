"""Servers whose SYNs are paced, and how many wait for a turn at each: what proxy/pacing remembers.

A server, an address and a port, has a place while there is anything to remember of it: that
somebody waits, or that of its burst less than all is there.  Then the place is the next one's.
Places are few, and found by a keyed hash, so that nobody can aim at another server's; a server
that finds none of PACER_PROBES free is asked nothing of meanwhile.

Those with somebody waiting stand in a round, each to be looked at in its turn.  A zeroed block is
one without any server.
"""

from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from cython_core.wire.siphash cimport SipKey

cdef enum:
    PACERS = 1024               # places; a power of two.  The first is nobody's
    PACER_NONE = 0
    PACER_PROBES = 8            # places looked at for one server


cdef struct Pacer:
    uint64_t server             # its digest
    uint64_t spent_ns           # as in proxy/gate
    uint64_t whole_ns           # when all of its burst is there again
    uint32_t first              # of the records that wait (proxy/half_open), oldest first
    uint32_t last
    uint32_t waiting            # how many they are
    uint32_t next               # in the round
    bint in_round


# 48 KiB.
cdef struct Pacers:
    uint32_t waiting            # records, at all servers
    uint32_t in_round           # servers
    uint32_t round_first
    uint32_t round_last
    Pacer pacer[PACERS]


cdef uint64_t pacers_digest(const uint8_t *address, uint16_t port,
                            const SipKey *key) noexcept nogil

# The place of a server, which it is given where it has none; PACER_NONE: there is none.
cdef uint32_t pacers_find(Pacers *pacers, uint64_t server, uint64_t now_ns) noexcept nogil

# To the end of the round, unless it is in it; and away from its head, which must be.
cdef void pacers_enter(Pacers *pacers, uint32_t at) noexcept nogil
cdef uint32_t pacers_next(Pacers *pacers) noexcept nogil
