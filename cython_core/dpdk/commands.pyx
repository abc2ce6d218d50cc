from cython_core.dpdk.rte cimport shim_store_release64
from cython_core.proxy.deletion cimport DELETION_FRAMES, connection_delete


cdef void commands_do(Commands *commands, Proxy *proxy) noexcept nogil:
    cdef Command *command
    cdef uint32_t _command
    for _command in range(COMMANDS_A_TURN):
        if commands.done == shim_load_acquire64(&commands.given):
            return
        if proxy.outbox.ready - proxy.outbox.filled < DELETION_FRAMES:
            return
        command = &commands.command[commands.done % COMMANDS]
        command.found = connection_delete(proxy, &command.flow, &command.was)
        shim_store_release64(&commands.done, commands.done + 1)


cdef bint commands_room(const Commands *commands) noexcept:
    return commands.given - shim_load_acquire64(&commands.done) < COMMANDS


cdef uint64_t commands_give(Commands *commands, const Flow *flow) noexcept:
    cdef uint64_t number = commands.given
    commands.command[number % COMMANDS].flow = flow[0]
    shim_store_release64(&commands.given, number + 1)
    return number


cdef const Command *commands_answer(const Commands *commands, uint64_t number) noexcept:
    if shim_load_acquire64(&commands.done) <= number:
        return NULL
    return &commands.command[number % COMMANDS]
