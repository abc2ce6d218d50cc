"""Doors to the cycles of a worker's stages; not in the image."""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dataplane cimport Dataplane
from cython_core.dpdk.rte cimport rte_get_tsc_hz, rte_rdtsc
from cython_core.dpdk.stages cimport (
    PROFILED, STAGE_ADMIT, STAGE_DECIDE, STAGE_HASH, STAGE_MATCH, STAGE_PARSE, STAGE_PROVE,
    STAGE_RECEIVE, STAGE_SEND, STAGE_STEER, STAGE_TEND, STAGE_TRANSMIT, STAGE_TURN, STAGE_VERIFY,
    STAGE_VIEW, STAGES,
)
from cython_core.dpdk.worker cimport Worker

cdef enum:
    READINGS = 1 << 16

NAMES = {
    STAGE_TURN: "turn", STAGE_RECEIVE: "receive", STAGE_TRANSMIT: "transmit", STAGE_VIEW: "view",
    STAGE_PARSE: "parse", STAGE_ADMIT: "admit", STAGE_VERIFY: "verify", STAGE_HASH: "hash",
    STAGE_STEER: "steer", STAGE_MATCH: "match", STAGE_PROVE: "prove", STAGE_DECIDE: "decide",
    STAGE_SEND: "send", STAGE_TEND: "tend",
}
assert len(NAMES) == STAGES


def profiled():
    """Whether this build counts them."""
    return PROFILED


def stage_cycles(Dataplane dataplane, uint32_t index=0):
    """TSC cycles since start, by stage in the order of a turn; of the worker of this index."""
    cdef const Worker *worker = dataplane.workers().worker[index]
    cdef uint32_t stage
    cycles = {}
    for stage in range(<uint32_t>STAGES):
        cycles[NAMES[stage]] = worker.stages.cycles[stage]
    return cycles


def frames_and_bursts(Dataplane dataplane, uint32_t index=0):
    """What the worker has taken of both since start."""
    cdef const Worker *worker = dataplane.workers().worker[index]
    return worker.progress.frames, worker.progress.bursts


def tsc_hz():
    return rte_get_tsc_hz()


def reading_cycles():
    """What one reading of the TSC takes, of many in a row."""
    cdef uint64_t began = rte_rdtsc()
    cdef uint64_t now = began
    cdef uint32_t _reading
    for _reading in range(READINGS):
        now = rte_rdtsc()
    return (now - began) / READINGS
