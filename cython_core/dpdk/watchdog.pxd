"""The watchdog: a thread that sees a worker which makes no turn, and ends the process by it.

    no turn for 2 s → a line on stderr → the worker's stack, as far as it can be had → _exit(2)

It runs no Python and takes no lock, so that whatever holds the control thread, or has Python's
lock, doesn't hold it.  What counts besides the time is that it has looked meanwhile: a process that
was stopped as a whole, a host that slept, is not taken for one whose workers are stuck.  It also
sees a control thread that makes no more beats, and says so; that one ends nothing, since the
workers go on without it.

Where a stuck worker is only to be told of, that ends once the workers are to stop: who waits for
one that never does would not end either.

Reading list: pthreads(7), proc(5) (/proc/PID/task/TID/stat, wchan), tgkill(2), backtrace(3),
signal-safety(7).
"""

from libc.stdint cimport uint32_t, uint64_t

from cython_core.dpdk.worker cimport WORKERS_MAX, Worker

cdef extern from "<pthread.h>" nogil:
    ctypedef struct pthread_t:
        pass

cdef enum:
    WATCHDOG_LOOK_MS = 100
    WATCHDOG_STALL_MS = 2000    # without a turn, which takes microseconds ...
    WATCHDOG_LOOKS = 5          # ... in so many looks at least; on a busy host they come late


# Of one thread, between two looks.
cdef struct Watched:
    uint64_t turns              # at the look before
    uint64_t since_ms           # of CLOCK_MONOTONIC: a look that found it had made some
    uint32_t looks              # since then
    bint stalled


# Once it runs, the watchdog writes `watched`, `control`, `control_stalls` and `looks`, and control
# `beats` and `hastened`; each reads the other's as they stand.
cdef struct Watchdog:
    pthread_t thread
    bint runs
    int wake                    # an eventfd(2) that ends the thread
    int exit_status             # of a process whose worker is stuck; 0: it goes on
    bint only_told              # it goes on until it is to stop
    uint32_t hastened           # it is to stop
    int last_words              # a file that tells the next process why; -1: there is none
    uint32_t count              # of workers
    Worker *worker[WORKERS_MAX]
    Watched watched[WORKERS_MAX]
    uint64_t beats              # of control; 0: it has made none yet, or makes no more
    Watched control
    uint32_t control_stalls     # since start
    uint64_t looks


# The workers have been launched.  It inherits the caller's cores.  Raises DataplaneError.
cdef int watchdog_start(Watchdog *watchdog, Worker **worker, uint32_t count, int exit_status,
                        bint only_told, int last_words) except -1

# Of the control thread, which makes them every so often while `on`, and then the last.
cdef void watchdog_beat(Watchdog *watchdog, bint on) noexcept

# From now on the process ends by a stuck worker even where it was only to be told of.
cdef void watchdog_hasten(Watchdog *watchdog) noexcept

# Returns once it looks no more; idempotent.
cdef void watchdog_stop(Watchdog *watchdog) noexcept
