import os

from libc.errno cimport errno
from libc.signal cimport SIGUSR2
from libc.stdint cimport uint32_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset, strrchr
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from cython_core.dpdk.rte cimport (
    RUNNING, rte_eal_get_lcore_state, shim_load_acquire32, shim_load_acquire64,
    shim_store_release32, shim_store_release64,
)
from cython_core.dpdk.worker cimport Worker

from cython_core.dpdk.terms import DataplaneError

cdef extern from "<pthread.h>" nogil:
    int pthread_create(pthread_t *, const void *, void *(*)(void *) noexcept nogil, void *)
    int pthread_join(pthread_t, void **)
    int pthread_setname_np(pthread_t, const char *)

cdef extern from "<poll.h>" nogil:
    struct pollfd:
        int fd
        short events, revents
    int POLLIN, POLLOUT
    int poll(pollfd *, unsigned long, int)

cdef extern from "<sys/eventfd.h>" nogil:
    int EFD_CLOEXEC
    int eventfd(unsigned int, int)
    int eventfd_write(int, uint64_t)

cdef extern from "<fcntl.h>" nogil:
    int O_RDONLY, O_CLOEXEC
    int open(const char *, int)

cdef extern from "<unistd.h>" nogil:
    ssize_t read(int, void *, size_t)
    ssize_t write(int, const void *, size_t)
    ssize_t pwrite(int, const void *, size_t, long)
    int close(int)
    int getpid()
    void _exit(int)

cdef extern from "<signal.h>" nogil:
    ctypedef struct sigaction_t "struct sigaction":
        void (*sa_handler)(int) noexcept nogil
        int sa_flags
    int SA_RESTART
    int sigaction(int, const sigaction_t *, sigaction_t *)
    int tgkill(int, int, int)

cdef extern from "<execinfo.h>" nogil:
    int backtrace(void **, int)
    void backtrace_symbols_fd(void *const *, int, int)

cdef enum:
    STDERR = 2
    LINE_BYTES = 512            # of what is said at once: within PIPE_BUF, so that it is whole
    WORD_BYTES = 64
    STACK_FRAMES = 32
    STACK_MS = 200              # for a thread to write its stack: one that runs takes less than one


cdef int watchdog_start(Watchdog *watchdog, Worker **worker, uint32_t count, int exit_status,
                        bint only_told, int last_words) except -1:
    cdef uint32_t index
    cdef int error
    memset(watchdog, 0, sizeof(watchdog[0]))
    for index in range(count):
        watchdog.worker[index] = worker[index]
    watchdog.count = count
    watchdog.exit_status = exit_status
    watchdog.only_told = only_told
    watchdog.last_words = last_words
    stack_prepare()
    watchdog.wake = eventfd(0, EFD_CLOEXEC)
    if watchdog.wake < 0:
        raise DataplaneError(f"no thread can watch the workers: {os.strerror(errno)}")
    error = pthread_create(&watchdog.thread, NULL, watchdog_run, watchdog)
    if error != 0:
        close(watchdog.wake)
        raise DataplaneError(f"no thread can watch the workers: {os.strerror(error)}")
    watchdog.runs = True
    pthread_setname_np(watchdog.thread, b"watchdog")
    return 0


cdef void watchdog_beat(Watchdog *watchdog, bint on) noexcept:
    shim_store_release64(&watchdog.beats, watchdog.beats + 1 if on else 0)


cdef void watchdog_hasten(Watchdog *watchdog) noexcept:
    shim_store_release32(&watchdog.hastened, 1)


cdef void watchdog_stop(Watchdog *watchdog) noexcept:
    if not watchdog.runs:
        return
    eventfd_write(watchdog.wake, 1)
    with nogil:
        pthread_join(watchdog.thread, NULL)
    close(watchdog.wake)
    watchdog.runs = False


cdef void *watchdog_run(void *argument) noexcept nogil:
    cdef Watchdog *watchdog = <Watchdog *>argument
    cdef pollfd wake
    cdef uint32_t index
    wake.fd = watchdog.wake
    wake.events = <short>POLLIN
    while poll(&wake, 1, WATCHDOG_LOOK_MS) <= 0:
        for index in range(watchdog.count):
            worker_look(watchdog, &watchdog.watched[index], watchdog.worker[index])
        control_look(watchdog)
        watchdog.looks += 1
    return NULL


# One that isn't running any more needs no turn.
cdef void worker_look(Watchdog *watchdog, Watched *watched, const Worker *worker) noexcept nogil:
    cdef bint runs = rte_eal_get_lcore_state(worker.lcore_id) == RUNNING
    cdef bint stopping = shim_load_acquire32(&watchdog.hastened)
    has_stalled(watched, shim_load_acquire64(&worker.progress.turns), runs)
    if watched.stalled and watchdog.exit_status != 0 and (stopping or not watchdog.only_told):
        worker_stalled(watchdog, worker, stopping)


# True once in a stall.
cdef bint has_stalled(Watched *watched, uint64_t turns, bint runs) noexcept nogil:
    cdef timespec now
    cdef uint64_t now_ms
    clock_gettime(CLOCK_MONOTONIC, &now)
    now_ms = <uint64_t>now.tv_sec * 1000 + <uint64_t>now.tv_nsec // 1000000
    if turns != watched.turns or not runs or watched.since_ms == 0:
        watched.turns = turns
        watched.since_ms = now_ms
        watched.looks = 0
        watched.stalled = False
        return False
    watched.looks += 1
    if watched.stalled or watched.looks < WATCHDOG_LOOKS:
        return False
    watched.stalled = now_ms - watched.since_ms >= WATCHDOG_STALL_MS
    return watched.stalled


cdef void control_look(Watchdog *watchdog) noexcept nogil:
    cdef char line[LINE_BYTES]
    cdef uint64_t beats = shim_load_acquire64(&watchdog.beats)
    if has_stalled(&watchdog.control, beats, beats != 0):
        watchdog.control_stalls += 1
        say(line, snprintf(
            line, LINE_BYTES,
            b"synproxyd: the control thread is stuck: it has made no look for %d ms; frames pass"
            b" all the same, and nothing is told or changed until it goes on\n",
            <int>WATCHDOG_STALL_MS))


# Where the process is to go on, who looks at the workers' turns tells of it.
cdef void worker_stalled(Watchdog *watchdog, const Worker *worker, bint stopping) noexcept nogil:
    cdef char line[LINE_BYTES]
    cdef const char *end = b"so that the daemon ends, to be started again"
    cdef char state[WORD_BYTES]
    cdef char place[WORD_BYTES]
    if stopping:
        end = b"and the daemon, which is to end, doesn't wait for it"
    thread_state(worker.thread_id, state)
    task_read(worker.thread_id, b"wchan", place)
    say(line, snprintf(
        line, LINE_BYTES,
        b"synproxyd: the worker on core %u has made no turn for %d ms, %s: turns %lu, frames %lu,"
        b" generation %lu, thread %u in state %s at %s\n",
        worker.lcore_id, <int>WATCHDOG_STALL_MS, end, worker.progress.turns,
        worker.progress.frames, worker.progress.generation, worker.thread_id, state, place))
    pwrite(watchdog.last_words, line, <size_t>snprintf(
        line, LINE_BYTES, b"the worker on core %u made no turn", worker.lcore_id), 0)
    if state[0] == c'R':        # another takes no signal now
        tgkill(getpid(), <int>worker.thread_id, SIGUSR2)
        poll(NULL, 0, STACK_MS)
    _exit(watchdog.exit_status)


# Behind a full pipe write(2) would wait for its reader: then nobody is told.
cdef void say(const char *line, int length) noexcept nogil:
    cdef pollfd output
    output.fd = STDERR
    output.events = <short>POLLOUT
    if poll(&output, 1, 0) == 1:
        write(STDERR, line, <size_t>min(length, LINE_BYTES - 1))


# Its letter of proc(5), behind the name in brackets: R runs, D waits for a device, t is held by a
# debugger.  `state` has room for WORD_BYTES.
cdef void thread_state(uint32_t thread_id, char *state) noexcept nogil:
    cdef char *behind
    task_read(thread_id, b"stat", state)
    behind = strrchr(state, c')')
    if behind != NULL and behind[1] != 0:
        state[0] = behind[2]
        state[1] = 0


# The beginning of a file that proc(5) has of a thread, "?" where it can't be read, on one line.
cdef void task_read(uint32_t thread_id, const char *name, char *word) noexcept nogil:
    cdef char path[WORD_BYTES]
    cdef ssize_t length = -1
    cdef int fd
    snprintf(path, WORD_BYTES, b"/proc/self/task/%u/%s", thread_id, name)
    fd = open(path, O_RDONLY | O_CLOEXEC)
    if fd >= 0:
        length = read(fd, word, WORD_BYTES - 1)
        close(fd)
    if length <= 0:
        word[0] = c'?'
        length = 1
    word[length] = 0


# Whoever gets the signal writes its own stack.
cdef void stack_prepare() noexcept:
    cdef sigaction_t action
    cdef void *frame
    memset(&action, 0, sizeof(action))
    action.sa_handler = stack_write
    action.sa_flags = SA_RESTART
    backtrace(&frame, 1)        # it loads a library at first, which no handler may
    sigaction(SIGUSR2, &action, NULL)


cdef void stack_write(int signal) noexcept nogil:
    cdef void *frame[STACK_FRAMES]
    backtrace_symbols_fd(frame, backtrace(frame, STACK_FRAMES), STDERR)
