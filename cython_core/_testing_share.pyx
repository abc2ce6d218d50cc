"""A Python door to dpdk/share, with a port whose queue empties steadily; not in the image."""

from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memset

from cython_core.dpdk.share cimport Share, share_begin, share_note, share_of

cdef enum:
    TURNS = 10


def carried(uint32_t room, uint32_t frames_a_ms, uint32_t batches_a_ms, uint32_t own,
            uint32_t others, uint32_t milliseconds, bint bounded=True):
    """What becomes of frames that are given evenly, `own` and `others` a millisecond, to a queue of
    `room` that empties by `frames_a_ms`, in so many batches of a millisecond, each after TURNS
    turns of the worker: for each millisecond (own ones that were lost, others that have gone)."""
    cdef uint32_t turns_a_ms = batches_a_ms * TURNS
    cdef Share share
    cdef uint32_t waiting = 0
    cdef uint32_t turn, given, free, lost, gone
    cdef uint64_t ms
    memset(&share, 0, sizeof(share))
    told = []
    for ms in range(1, milliseconds + 1):
        lost = gone = 0
        for turn in range(turns_a_ms):
            if turn % TURNS == 0:
                waiting -= min(waiting, part(frames_a_ms, turn // TURNS, batches_a_ms))
            share_begin(&share, ms)
            given = part(own, turn, turns_a_ms)
            free = room - waiting
            lost += given - min(given, free)
            waiting += min(given, free)
            if given > free:
                share_note(&share, 0, True)
            given = part(others, turn, turns_a_ms)
            if bounded:
                given = share_of(&share, given)
            free = room - waiting
            share_note(&share, min(given, free), given > free)
            gone += min(given, free)
            waiting += min(given, free)
        told.append((lost, gone))
    return told


# Of `frames` in so many turns those of this one.
cdef uint32_t part(uint32_t frames, uint32_t turn, uint32_t turns) noexcept:
    return frames * (turn + 1) // turns - frames * turn // turns
