"""Commands: what the control thread has a worker do to its own state, one at a time.

A ring of one writer and one reader.  The worker asks once a turn whether there are any, does some
of them, and leaves its answer in the place of each; the control thread takes it up, or wants it no
more, before the place is given out again.
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.rte cimport shim_load_acquire64
from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.synproxy cimport Proxy
from cython_core.wire.segment cimport Flow

cdef enum:
    COMMANDS = 256              # that may be under way
    COMMANDS_A_TURN = 8


# End the flow's connection.
cdef struct Command:
    Flow flow
    bint found                  # the answer, and the entry that it had
    Connection was


cdef struct Commands:
    uint64_t given              # of all times; written by the control thread with a store-release
    uint64_t done               # likewise, by the worker
    Command command[COMMANDS]


# Do some of them, as far as the outbox has room.
cdef void commands_do(Commands *commands, Proxy *proxy) noexcept nogil

cdef inline void commands_run(Commands *commands, Proxy *proxy) noexcept nogil:
    if shim_load_acquire64(&commands.given) != commands.done:
        commands_do(commands, proxy)

# By the control thread.  Whether there is a place whose command is done.
cdef bint commands_room(const Commands *commands) noexcept

# Give out a command: its number.
cdef uint64_t commands_give(Commands *commands, const Flow *flow) noexcept

# The command of that number, or NULL: it is still to be done.
cdef const Command *commands_answer(const Commands *commands, uint64_t number) noexcept
