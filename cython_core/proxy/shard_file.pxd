"""The file that the workers' shards lie in, so that connections outlive the process.

    | header | learned servers | shard | shard | …
    shard:  | connection table | half-open records | supplied timestamps | superseded cookies |

Its process may be killed at any instruction.  What a kill leaves half written is the entry that its
table names as being written (proxy/conntable, entry_begin), one of each shard at most; all else is
words that stand alone.  Who comes after reads it, never writes to it, and makes a file of its own
(proxy/adoption): buckets, free chains and the wheel, which a kill may leave in any state, are made
anew, and so are the pointers in HalfOpenPool and Learned, which mean nothing here.

The secrets of the cookies are in it: let nobody but the daemon's owner read it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t

from cython_core.proxy.conntable cimport ConnTable
from cython_core.proxy.half_open cimport HalfOpenPool
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.superseded cimport Superseded
from cython_core.proxy.supply cimport SupplyPool

cdef enum:
    # To be raised where a field comes to mean something else; where it moves, the layout's hash
    # tells.
    SHARD_FILE_VERSION = 1
    BOOT_ID_BYTES = 16
    SHARDS_MAX = 64


# How much there is of what.
cdef struct Shape:
    uint32_t shards
    uint32_t connections        # of each shard
    uint32_t half_open          # likewise
    uint32_t servers            # of all shards together


# One moment, on the workers' clock and on those that it is held against.
cdef struct ClockBase:
    uint64_t hz                 # TSC cycles a second
    uint64_t cycles
    uint64_t time_ns            # since 1970
    uint64_t boottime_ns        # CLOCK_BOOTTIME


cdef struct ShardFile:
    uint64_t magic
    uint64_t layout             # of all structs in it, as a hash
    uint64_t bytes              # of the whole file that is in use
    uint8_t boot_id[BOOT_ID_BYTES]      # of the kernel's run
    Shape shape
    ClockBase clock
    uint32_t secrets_at         # which of the two counts; the other one may be half written
    Secrets secrets[2]


cdef struct Shard:
    ConnTable *table
    HalfOpenPool *half_open
    SupplyPool *supplies
    Superseded *superseded


# Whether what a file holds may go on here, and if not why.
cdef enum Fitness:
    FITS
    FOREIGN                     # no file of ours
    OTHER_LAYOUT                # another release's
    OTHER_BOOT
    OTHER_SIZE                  # it is shorter than it says, or says what can't be


cdef uint64_t shard_file_bytes(const Shape *shape) noexcept nogil

# Make a zeroed block of shard_file_bytes, on cache lines, a file; its shards are the caller's to
# initialise.
cdef ShardFile *shard_file_init(void *block, const Shape *shape, const uint8_t *boot_id,
                                const ClockBase *clock) noexcept nogil

cdef Fitness shard_file_judge(const void *block, uint64_t block_bytes,
                              const uint8_t *boot_id) noexcept nogil

# Where its parts lie: a shard's, and what is learned of servers (proxy/learned).
cdef Shard shard_file_shard(const ShardFile *file, uint32_t index) noexcept nogil
cdef void *shard_file_learned(const ShardFile *file) noexcept nogil

# The secrets that count, whole at any moment.
cdef const Secrets *shard_file_secrets(const ShardFile *file) noexcept nogil
cdef void shard_file_keep_secrets(ShardFile *file, const Secrets *secrets) noexcept nogil

# When a worker of it has had its last turn, on the workers' clock.
cdef uint64_t shard_file_alive_ns(const ShardFile *file) noexcept nogil
