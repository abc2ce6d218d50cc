"""Floor 2's structs from what tests say of them, and back; not in the image."""

from libc.stdint cimport uint64_t

from cython_core.proxy.conntable cimport Connection
from cython_core.proxy.secrets cimport Secrets
from cython_core.proxy.service cimport Service, Snapshot
from cython_core.proxy.shard_file cimport Shape, ShardFile
from cython_core.wire.segment cimport Flow

# A secret of two words, for every epoch.
cdef int master_of(Secrets *secrets, master) except -1

# A file in a writable buffer of whole pages, made anew.
cdef ShardFile *file_in(memory, const Shape *shape) except NULL

# Zeroed, and aligned as a table is.
cdef void *block(uint64_t size) except NULL

# A connection as a dict.
cdef describe(Connection *conn)

# `services` as Box has them.
cdef Snapshot *snapshot_of(services) except NULL
cdef Service service_of(fields) except *

# (client, client port, server, server port), the addresses 16 bytes.
cdef Flow flow_of(flow) except *
