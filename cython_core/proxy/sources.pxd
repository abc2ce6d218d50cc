"""How much each prefix of clients has opened of late, in bounded memory.

A prefix has one cell in each of SOURCE_ROWS rows, all that fits a keyed hash of it and its service;
cells are shared.  It is held to be at the least that any of its cells says, and what it opens moves
only those cells that say less (the conservative update: Estan and Varghese, SIGCOMM 2002).  So no
cell ever says less than its members have opened, none of them escapes its bound, and a prefix is
refused for others only where all of its cells are theirs: with n prefixes at their bound a chance
of (1 - e^(-n / SOURCE_CELLS))^SOURCE_ROWS, for a thousand of them 2 in 10,000.  The hash changes
with the cookies' epoch, so that who meets it is free of it within a minute; whoever is at its bound
may open another burst then.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.service cimport Service
from cython_core.wire.segment cimport Flow
from cython_core.wire.siphash cimport SipKey

cdef enum:
    SOURCE_ROWS = 4
    SOURCE_CELL_BITS = 13       # of the digest for each row: 52 of its 64
    SOURCE_CELLS = 1 << SOURCE_CELL_BITS


# 256 KiB; each cell as proxy/gate has it.
cdef struct Sources:
    uint64_t spent_ns[SOURCE_ROWS][SOURCE_CELLS]


# The hash of a client's prefix among those of this service, in that epoch of the cookies.
cdef uint64_t source_digest(const Flow *flow, const Service *service, uint32_t epoch,
                            const SipKey *key) noexcept nogil

# What its prefix has spent at most; and that it has spent that much now.
cdef uint64_t source_spent(const Sources *sources, uint64_t digest) noexcept nogil
cdef void source_spend(Sources *sources, uint64_t digest, uint64_t spent_ns) noexcept nogil
