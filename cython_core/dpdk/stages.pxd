"""Where a worker's cycles go, stage by stage: in a build with -Dprofile=true alone.

In any other both functions are empty, and nothing of them reaches the worker.  The TSC doesn't wait
for what is under way, so a load that a stage began may be paid for by the next; over a burst of 32
frames that is little.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.rte cimport rte_rdtsc

cdef extern from *:
    """
    #ifdef SYNPROXY_PROFILE
    #define SYNPROXY_PROFILED 1
    #else
    #define SYNPROXY_PROFILED 0
    #endif
    """
    const bint PROFILED "SYNPROXY_PROFILED"

# In the order of a turn.
cdef enum Stage:
    STAGE_TURN                  # clock, snapshot, captures, accounts
    STAGE_RECEIVE
    STAGE_TRANSMIT              # and spare frames
    STAGE_VIEW
    STAGE_PARSE
    STAGE_ADMIT
    STAGE_VERIFY
    STAGE_HASH
    STAGE_STEER
    STAGE_MATCH
    STAGE_PROVE
    STAGE_DECIDE
    STAGE_SEND                  # as far as the outlets
    STAGE_TEND                  # and commands
    STAGES


cdef struct Stages:
    uint64_t ended              # TSC at the end of the last one
    uint64_t cycles[STAGES]


cdef inline void stages_begin(Stages *stages, uint64_t now) noexcept nogil:
    if PROFILED:
        stages.ended = now


# All since the end before it was this stage's.
cdef inline void stage_end(Stages *stages, Stage stage) noexcept nogil:
    cdef uint64_t now
    if PROFILED:
        now = rte_rdtsc()
        stages.cycles[<uint32_t>stage] += now - stages.ended
        stages.ended = now
