"""Services, compiled out of a few bytes of a Tape."""

from cython_core._testing_talk cimport Tape
from cython_core.proxy.service cimport Snapshot

# Two slots, each with a service that is there, has left, or is none; and how it drains.
cdef Snapshot *services_say(Tape *tape) noexcept nogil
