"""Doors to the file that shards lie in, and to what goes on of one, for tests; not in the image."""

from libc.signal cimport raise_
from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free
from libc.string cimport memcpy, memset

from cython_core._testing_proxy cimport Box
from cython_core._testing_structs cimport block
from cython_core.dpdk.owners cimport Owners, owner_of
from cython_core.proxy.adoption cimport Adoption, Heirs, adoption_file
from cython_core.proxy.burst cimport burst_run
from cython_core.proxy.shard_file cimport (
    FITS, FOREIGN, OTHER_BOOT, OTHER_LAYOUT, OTHER_SIZE, Shape, ShardFile, shard_file_bytes,
    shard_file_judge, shard_file_keep_secrets, shard_file_secrets,
)
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.synproxy cimport Proxy
from cython_core.proxy.tend cimport proxy_tend
from cython_core.wire.segment cimport Flow

cdef extern from "<signal.h>" nogil:
    int SIGSTOP

cdef enum:
    HEIRS_MAX = 8

FITNESS = {
    FITS: "fits", FOREIGN: "foreign", OTHER_LAYOUT: "layout", OTHER_BOOT: "boot",
    OTHER_SIZE: "size",
}


def file_bytes(uint32_t shards, uint32_t connections, uint32_t half_open, uint32_t servers):
    cdef Shape shape = Shape(shards, connections, half_open, servers)
    return shard_file_bytes(&shape)


def judge(bytes content, bytes boot_id=bytes(16)):
    """Whether it may go on, or why not."""
    cdef void *copy = block(len(content) + 1)
    memcpy(copy, <const uint8_t *>content, len(content))
    fitness = shard_file_judge(copy, len(content), <const uint8_t *>boot_id)
    free(copy)
    return FITNESS[fitness]


def adopt(boxes, bytes content):
    """A file's content goes on in these, which are beside each other: what becomes of entries."""
    cdef Proxy *proxy[HEIRS_MAX]
    cdef Owners owners
    cdef Heirs heirs
    cdef Adoption tally
    cdef Box box
    cdef void *copy = block(len(content))
    memcpy(copy, <const uint8_t *>content, len(content))
    memset(&tally, 0, sizeof(tally))
    memset(&owners, 0, sizeof(owners))
    owners.workers = len(boxes)
    for index, box in enumerate(boxes):
        proxy[index] = &box.proxy
    heirs.proxy = proxy
    heirs.count = len(boxes)
    heirs.owner_of = owner_among
    heirs.owners = &owners
    heirs.snapshot = (<Box>boxes[0]).snapshot
    heirs.now_ms = (<Box>boxes[0]).proxy.now_ms
    adoption_file(&heirs, <const ShardFile *>copy, &tally)
    free(copy)
    return {"adopted": tally.adopted, "torn": tally.torn, "unserved": tally.unserved,
            "without_room": tally.without_room, "unsound": tally.unsound}


cdef uint32_t owner_among(const void *owners, uint64_t digest, const Flow *flow) noexcept nogil:
    return owner_of(<const Owners *>owners, digest, flow)


def run_between_stops(Box box, frames, bint from_client):
    """One burst, the process having stopped itself before it and behind it: nothing else runs
    between the two."""
    box.fill(frames, from_client)
    with nogil:
        raise_(SIGSTOP)
        burst_run(box.burst, &box.proxy)
        raise_(SIGSTOP)


def tend_between_stops(Box box):
    """A turn of the timers, likewise."""
    with nogil:
        raise_(SIGSTOP)
        proxy_tend(&box.proxy)
        raise_(SIGSTOP)


def run_for_ever(Box box, bursts):
    """All these again and again, [(frames, from_client)], until the process is killed."""
    while True:
        for frames, from_client in bursts:
            box.fill(frames, from_client)
            burst_run(box.burst, &box.proxy)
            box.proxy.outbox.filled = 0


def secrets_kept(Box box):
    """Those of the box's snapshot, as its file has them afterwards; the other place as it was."""
    cdef Secrets before = box.file.secrets[box.file.secrets_at]
    cdef Secrets kept
    shard_file_keep_secrets(box.file, &box.snapshot.secrets)
    kept = shard_file_secrets(box.file)[0]
    return ((<char *>&kept)[:sizeof(Secrets)],
            (<char *>&box.snapshot.secrets)[:sizeof(Secrets)],
            (<char *>&before)[:sizeof(Secrets)],
            (<char *>&box.file.secrets[1 - box.file.secrets_at])[:sizeof(Secrets)])
