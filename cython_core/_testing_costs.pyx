"""What frames cost a proxy in hashes and lookups, counted stage by stage; not in the image."""

from libc.stdint cimport uint32_t, uint64_t

from cython_core._testing_proxy cimport Box
from cython_core.proxy.burst cimport (
    BURST_FRAMES, Burst, burst_admit, burst_decide, burst_hash, burst_match, burst_parse,
    burst_prove, burst_verify,
)
from cython_core.proxy.conntable cimport STATE_FREE, Connection, flow_equal
from cython_core.proxy.proof cimport PROOF_OPEN
from cython_core.wire.siphash cimport SipHashLanes

# Of the vector's function, which has no argument to spare for them.
cdef SipHashLanes hash_lanes = NULL
cdef uint64_t hashed = 0


cdef void lanes_counted(const uint64_t *words, const uint64_t *k0, const uint64_t *k1,
                        uint64_t *digest, uint32_t count) noexcept nogil:
    global hashed
    hashed += count
    hash_lanes(words, k0, k1, digest, count)


def costs(Box box, frames, bint from_client):
    """One burst: (verdict names, hashes, lookups in the table)."""
    global hash_lanes, hashed
    cdef Burst *burst = box.burst
    cdef bint[BURST_FRAMES] open
    cdef uint32_t lookups = 0
    cdef uint32_t i
    hash_lanes = box.proxy.vector.hash_lanes
    box.proxy.vector.hash_lanes = lanes_counted
    hashed = 0
    box.fill(frames, from_client)
    burst_parse(burst, &box.proxy)
    burst_admit(burst, &box.proxy)
    burst_verify(burst, &box.proxy)
    burst_hash(burst, &box.proxy)
    burst_match(burst, &box.proxy)
    burst_prove(burst, &box.proxy)
    for i in range(burst.lanes):
        open[i] = burst.lane[i].proof.state == PROOF_OPEN
        if not burst.lane[i].syn:
            lookups += 1 + is_searched(burst, box.proxy.table.inserted, i)
    burst_decide(burst, &box.proxy)
    # What the burst hadn't asked, and its segment has asked for itself (proxy/proof).
    for i in range(burst.lanes):
        hashed += from_client and open[i] and burst.lane[i].proof.state != PROOF_OPEN
    box.proxy.vector.hash_lanes = hash_lanes
    box.flush()
    return box.verdicts(), hashed, lookups


# Whether its candidate doesn't settle it: conntable_settle then looks again.
cdef bint is_searched(const Burst *burst, uint32_t inserted, uint32_t lane) noexcept nogil:
    cdef const Connection *candidate = burst.lane[lane].candidate
    if candidate == NULL:
        return inserted != burst.inserted
    return candidate.state == STATE_FREE or not flow_equal(&candidate.flow, &burst.lane[lane].flow)
