"""What the entries of a worker's table are, counted as the sweep comes by: see proxy/tend.

One look takes as long as a sweep, a tick of the activity clock at most where the table allows it;
what is told is the last whole one, so that no reader ever sees half of one.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcpy, memset

from cython_core.proxy.conntable cimport (
    CONN_PASSES, STATE_SYN_SENT, STATE_TIME_WAIT, Connection,
)

cdef enum CensusKind:
    CENSUS_OPENING              # the server is awaited
    CENSUS_OPEN                 # translated, with one FIN at most
    CENSUS_PASSING              # its handshake was not ours: nothing of it is translated
    CENSUS_TIME_WAIT            # both FINs have passed
    CENSUS_TOMBSTONE            # ended; kept so that its cookie opens nothing again
    CENSUS_KINDS


cdef struct Census:
    uint32_t sweep              # the one that `counted` belongs to; 0: none has ended yet
    uint32_t counting[CENSUS_KINDS]
    uint32_t counted[CENSUS_KINDS]


cdef inline uint32_t census_kind(const Connection *conn) noexcept nogil:
    cdef uint8_t state = conn.state
    if state == STATE_SYN_SENT:
        return CENSUS_OPENING
    if state > STATE_TIME_WAIT:
        return CENSUS_TOMBSTONE
    if conn.flags & CONN_PASSES:
        return CENSUS_PASSING
    return CENSUS_TIME_WAIT if state == STATE_TIME_WAIT else CENSUS_OPEN


cdef inline void census_count(Census *census, const Connection *conn) noexcept nogil:
    census.counting[census_kind(conn)] += 1


# That sweep has met every entry.
cdef inline void census_close(Census *census, uint32_t sweep) noexcept nogil:
    memcpy(census.counted, census.counting, sizeof(census.counted))
    memset(census.counting, 0, sizeof(census.counting))
    census.sweep = sweep
