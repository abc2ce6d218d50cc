import errno
import fcntl
import os
import stat
import time
from contextlib import suppress
from pathlib import Path

from libc.stdint cimport uint8_t

from cython_core.dpdk.clock cimport CLOCK_NS_PER_S, clock_boottime_ns, clock_ns, clock_start
from cython_core.dpdk.rte cimport rte_get_tsc_hz, rte_rdtsc
from cython_core.proxy.shard_file cimport (
    BOOT_ID_BYTES, FITS, FOREIGN, OTHER_BOOT, OTHER_LAYOUT, OTHER_SIZE, ClockBase, Fitness, Shape,
    shard_file_alive_ns, shard_file_bytes, shard_file_init, shard_file_judge,
)

from cython_core.dpdk.terms import DataplaneError

cdef extern from "<sys/mman.h>" nogil:
    void *mmap(void *, size_t, int, int, int, long)
    int munmap(void *, size_t)
    int PROT_READ, PROT_WRITE, MAP_SHARED, MAP_POPULATE
    void *MAP_FAILED

cdef extern from "<sys/vfs.h>" nogil:
    ctypedef struct FileSystem "struct statfs":
        long f_type
    int fstatfs(int, FileSystem *)

cdef enum:
    # Linux's magic.h; ramfs is tmpfs where a kernel has no swap.
    TMPFS = 0x01021994
    HUGETLBFS = 0x958458F6
    RAMFS = 0x858458F6

# A TCP that hears nothing gives up within about 15 minutes (RFC 9293 §3.8.3; Linux's tcp_retries2),
# and what is idle longer has likely ended on one side by now.
STALE_S = 3600
# Two clocks of one moment may part by so much: the TSC's rate is known to about 10^-5.
CLOCKS_APART_S = 1
CLOCKS_APART_PART = 100
LAST_WORDS_BYTES = 256

LEFT = ", and is left as it is"
UNSET = "memory.shard_file is not set"
UNFIT = {
    FOREIGN: f"is no file of ours{LEFT}",
    OTHER_LAYOUT: "is of another release, whose tables are laid out otherwise",
    OTHER_BOOT: "is from before the host was started last",
    OTHER_SIZE: "is damaged: it has not the size that it says",
}


cdef class Shards:
    def __init__(self, settings):
        """After EAL's start.  Raises DataplaneError where another process has the file."""
        self.path = settings.shard_file
        self.cold = self.unkept = self.stall = ""
        self.lock = -1
        self.clock_begin()
        if not self.path:
            self.cold = self.unkept = UNSET
            return
        try:
            self.lock_take()
            if not self.foreign:
                self.former_open()
            if self.former != NULL:
                self.former_judge()
        except OSError as error:
            self.foreign = True
            self.cold = f"{error.filename or self.path}: {error.strerror}"
        self.unkept = self.cold if self.foreign else ""
        try:
            if not self.foreign:
                self.file_make(settings)
        except OSError as error:
            self.unkept = f"{error.filename}: {error.strerror}"

    cdef void clock_begin(self) noexcept:
        clock_start(&self.clock, rte_get_tsc_hz(), rte_rdtsc(), time.time_ns(),
                    clock_boottime_ns())

    cdef int lock_take(self) except -1:
        cdef FileSystem where
        path = f"{self.path}.lock"
        self.lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        if fstatfs(self.lock, &where) == 0 and <unsigned int>where.f_type not in (
                TMPFS, HUGETLBFS, RAMFS):
            os.unlink(path)
            self.foreign = True
            self.cold = (f"{self.path}: is on a disk, which secrets must not come to: name a file"
                         " on a tmpfs, as /dev/shm is one, or on hugetlbfs")
            return 0
        if os.fstat(self.lock).st_uid != os.geteuid():
            self.foreign = True
            self.cold = f"{path}: belongs to another user{LEFT}"
            return 0
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self.lock)
            raise DataplaneError(
                f"{self.path}: is in use by another synproxyd; stop that one, or name another"
                " memory.shard_file") from None
        self.stall = os.pread(self.lock, LAST_WORDS_BYTES, 0).decode(errors="replace").strip("\0")
        os.ftruncate(self.lock, 0)
        return 0

    cdef int former_open(self) except -1:
        try:
            fd = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            self.cold = f"{self.path}: there was none yet"
            return 0
        except OSError as error:
            if error.errno == errno.ELOOP:
                error.strerror = f"is a symbolic link{LEFT}"
            raise
        try:
            found = os.fstat(fd)
            strange = strangeness(found)
            if strange:
                self.foreign = True
                self.cold = f"{self.path}: {strange}{LEFT}"
                return 0
            self.former_bytes = found.st_size
            self.former = <const ShardFile *>map_file(
                self.path, fd, self.former_bytes, PROT_READ, MAP_SHARED)
        finally:
            os.close(fd)
        return 0

    cdef int former_judge(self) except -1:
        cdef bytes boot = boot_id()
        cdef Fitness fitness = shard_file_judge(
            self.former, self.former_bytes, <const uint8_t *>boot)
        self.foreign = fitness == FOREIGN
        why = UNFIT.get(fitness, "")
        if fitness == FITS:
            why = clock_strangeness(&self.former.clock)
        if not why:
            clock_go_on(&self.clock, &self.former.clock)
            age_s = (self.now_ns() - min(
                self.now_ns(), shard_file_alive_ns(self.former))) // CLOCK_NS_PER_S
            if age_s > STALE_S:
                why = f"was left {age_s} s ago, and connections are kept for {STALE_S} s"
        if why:
            self.cold = f"{self.path}: {why}"
            self.former_drop()
            self.clock_begin()
        return 0

    cdef int file_make(self, settings) except -1:
        cdef bytes boot = boot_id()
        cdef ClockBase base = clock_base(&self.clock)
        cdef Shape shape
        cdef void *block
        workers = len(settings.worker_lcores)
        shape.shards = workers
        shape.connections = max(settings.connections // workers, 1)
        shape.half_open = max(settings.half_open // workers, 1)
        shape.servers = settings.servers
        path = f"{self.path}.new"
        with suppress(FileNotFoundError):
            os.unlink(path)             # of one that was killed as it started
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            unit = os.fstat(fd).st_blksize      # a page, on hugetlbfs a large one
            size = (shard_file_bytes(&shape) + unit - 1) // unit * unit
            os.posix_fallocate(fd, 0, size)
            block = map_file(path, fd, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE)
        except OSError as error:
            os.unlink(path)
            raise OSError(error.errno, f"no room for {(size >> 20) + 1} MiB: {error.strerror}",
                          self.path) from None
        finally:
            os.close(fd)
        self.file_bytes = size
        self.file = shard_file_init(block, &shape, <const uint8_t *>boot, &base)
        return 0

    cdef uint64_t now_ns(self) noexcept:
        return clock_ns(&self.clock, rte_rdtsc())

    cdef int replace(self) except -1:
        if self.file != NULL:
            try:
                os.rename(f"{self.path}.new", self.path)
            except OSError as error:
                self.unkept = f"{self.path}: {error.strerror}"
        elif self.lock >= 0 and not self.foreign:
            with suppress(OSError):
                os.unlink(self.path)    # what it has is not true any more
        self.former_drop()
        return 0

    cdef void former_drop(self) noexcept:
        if self.former != NULL:
            munmap(<void *>self.former, self.former_bytes)
        self.former = NULL

    def close(self):
        """The workers have ended, and nobody reads their shards any more; idempotent."""
        self.former_drop()
        if self.file != NULL:
            munmap(self.file, self.file_bytes)
            self.file = NULL
            with suppress(FileNotFoundError):
                os.unlink(f"{self.path}.new")
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1


def strangeness(found):
    """Why a file is not to be touched, or ""."""
    if not stat.S_ISREG(found.st_mode):
        return "is no regular file"
    if found.st_uid != os.geteuid():
        return f"belongs to uid {found.st_uid}"
    if found.st_nlink != 1:
        return "has other names"
    if found.st_mode & 0o077:
        return f"may be read by others, mode {stat.S_IMODE(found.st_mode):04o}"
    return "" if found.st_size else "is empty"


def boot_id():
    """proc(5): drawn anew each time that the kernel starts."""
    drawn = Path("/proc/sys/kernel/random/boot_id").read_text()
    return bytes.fromhex(drawn.strip().replace("-", ""))[:BOOT_ID_BYTES]


cdef void *map_file(path, int fd, size_t size, int access, int flags) except NULL:
    cdef void *block = mmap(NULL, size, access, flags, fd, 0)
    if block == MAP_FAILED:
        raise OSError(0, "can't be mapped", path)
    return block


# Where it stands.
cdef ClockBase clock_base(const Clock *clock):
    cdef ClockBase base
    base.hz = clock.hz
    base.cycles = rte_rdtsc()
    base.boottime_ns = clock_boottime_ns()
    base.time_ns = clock.boot_ns + base.boottime_ns
    return base


# As if the former process were still there: what it has stamped keeps its age.
cdef void clock_go_on(Clock *clock, const ClockBase *base) noexcept:
    cdef uint64_t boottime_ns = clock_boottime_ns()
    clock_start(clock, base.hz, rte_rdtsc(), base.time_ns + boottime_ns - base.boottime_ns,
                boottime_ns)


# Whether the TSC has run on since, as CLOCK_BOOTTIME has; why not, or "".
cdef str clock_strangeness(const ClockBase *base):
    boottime_s = (int(clock_boottime_ns()) - int(base.boottime_ns)) / 1e9
    tsc_s = (int(rte_rdtsc()) - int(base.cycles)) / max(float(base.hz), 1)
    if abs(tsc_s - boottime_s) > CLOCKS_APART_S + abs(boottime_s) / CLOCKS_APART_PART:
        return f"its clock has not run on: {tsc_s:.0f} s by the TSC, {boottime_s:.0f} s since then"
    return ""
