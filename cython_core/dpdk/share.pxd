"""How much of a port is for frames of no protected service, once it carries less than it is given.

What services send goes first in each turn; the others' frames follow, up to `most` in a
millisecond.  In one in which the port has refused a frame no more of them go, so that its queue has
room for the services' next ones, and `most` becomes 7/8 of what had gone; with each that passes
without, it grows by 1/64.  So a flood that is only bridged gets what the services leave, and a port
that carries all never bounds anybody.  (Increase and decrease in proportion, faster downward: Chiu
and Jain 1989.)

A port that takes its frames off the queue many times in a millisecond so loses less than 1 % of
the services'.  One that does so once in it has a full queue for the rest of that in which it has
refused a frame, about one of nine: up to 2 % of them are lost, and 5 % where the queue holds what
several milliseconds carry (tests/dpdk/test_share.py).

A driver that makes the worker wait, rather than refuse a frame, bounds nobody.  Those of kernel
interfaces do so: net_af_xdp sends again until the kernel takes it, net_af_packet waits in poll(2)
until it has room.  What they carry less than comes is lost where it comes in, whose ever it is.
"""

from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    SHARE_UNBOUNDED = 1 << 20   # frames in a millisecond: more than any port's
    SHARE_LEAST = 8
    SHARE_IDLE_MS = 512         # after so many without a loss nothing is bounded


cdef struct Share:
    uint64_t ms                 # the one under way
    uint32_t most               # frames of others in it; 0 before the first
    uint32_t gone               # of them, that the port has taken
    uint32_t gone_before        # in the one before
    bint refused                # the port has refused a frame in it


cdef inline void share_begin(Share *share, uint64_t now_ms) noexcept nogil:
    cdef uint64_t passed = now_ms - share.ms
    cdef uint32_t gone = max(share.gone, share.gone_before)
    cdef uint64_t _ms
    if passed == 0:
        return
    if share.most == 0 or passed >= SHARE_IDLE_MS:
        share.most = SHARE_UNBOUNDED
    elif share.refused:
        share.most = max(gone - gone // 8, <uint32_t>SHARE_LEAST)
        passed -= 1
    if share.most < SHARE_UNBOUNDED:
        for _ms in range(passed):
            share.most = min(share.most + share.most // 64 + 1, <uint32_t>SHARE_UNBOUNDED)
    share.gone_before = share.gone
    share.gone = 0
    share.refused = False
    share.ms = now_ms


# How many of `frames` may go at this moment.
cdef inline uint32_t share_of(const Share *share, uint32_t frames) noexcept nogil:
    cdef uint32_t room
    if share.refused or share.gone >= share.most:
        return 0
    room = share.most - share.gone
    return frames if frames < room else room

# So many have gone, and what else there was, or `refused` of all, has not.
cdef inline void share_note(Share *share, uint32_t gone, bint refused) noexcept nogil:
    share.gone += gone
    if refused:
        share.refused = True
