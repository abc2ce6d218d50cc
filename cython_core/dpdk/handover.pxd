"""Hand-over: a flow has one owner (dpdk/owners), whichever worker its frames came to.

A SYN needs no state and is answered by whoever got it.  A frame that is handed over is counted
by its owner, as if that one had received it; where the owner's inbox is full, by the giver.
"""

from libc.stdint cimport uint32_t

from cython_core.dpdk.worker cimport Worker

cdef enum:
    INBOX_FRAMES = 4096         # for one worker and side


# Take the lanes that others own out of the hashed burst; their frames go to their owners, and
# their verdicts stay VERDICT_NONE.
cdef void steer(Worker *worker, uint32_t side) noexcept nogil

# A burst from the worker's inbox of that side.
cdef void inbox_receive(Worker *worker, uint32_t side) noexcept nogil
