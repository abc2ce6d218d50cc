from libc.string cimport memcmp, memcpy

from cython_core.proxy.conntable cimport (
    CONN_CLIENT_FIN, CONN_PASSES, CONN_RST_DOUBTFUL, CONN_SERVER_FIN, CONN_STRIP_SACK,
    CONN_SUPPLIED, CONN_TIMESTAMPS, CONN_WINDOW_TOLD, CONNTABLE_VERSION, STATE_CLIENT_RESET,
    STATE_CLOSED, STATE_DELETED, STATE_ESTABLISHED, STATE_FREE, STATE_HALF_CLOSED, STATE_REFUSED,
    STATE_SERVER_RESET, STATE_SYN_SENT, STATE_TIME_WAIT, Bucket, Connection, conntable_bytes,
    store_barrier,
)
from cython_core.proxy.cookie cimport Offer
from cython_core.proxy.half_open cimport HalfOpen, half_open_bytes
from cython_core.proxy.handshake cimport Envelope
from cython_core.proxy.learned cimport LEARNED_HEAD_BYTES, LearnedServer, learned_bytes
from cython_core.proxy.supply cimport SUPPLIES_MAX, Supply
from cython_core.wire.cache cimport CACHE_LINE_BYTES
from cython_core.wire.segment cimport Flow
from cython_core.wire.siphash cimport SipKey, siphash_bytes

cdef enum:
    CONNECTIONS_MAX = 1 << 26   # proto's limits.connections, which half_open stays below
    SERVERS_MAX = 1 << 24       # proxy/learned


# What who comes after must find as it is: sizes, where fields stand, what their values stand for.
def layout():
    cdef Connection conn
    cdef HalfOpen record
    cdef LearnedServer server
    cdef Supply supply
    sizes = (
        SHARD_FILE_VERSION, CONNTABLE_VERSION, sizeof(ShardFile), sizeof(ConnTable),
        sizeof(Bucket), sizeof(Connection), sizeof(Flow), sizeof(HalfOpenPool), sizeof(HalfOpen),
        sizeof(Offer), sizeof(Envelope), sizeof(SupplyPool), sizeof(Supply), SUPPLIES_MAX,
        sizeof(Superseded), sizeof(LearnedServer), LEARNED_HEAD_BYTES, sizeof(Secrets))
    places = (
        <char *>&conn.seq_offset - <char *>&conn, <char *>&conn.ts_offset - <char *>&conn,
        <char *>&conn.isn - <char *>&conn, <char *>&conn.client_ack - <char *>&conn,
        <char *>&conn.server_ack - <char *>&conn, <char *>&conn.active - <char *>&conn,
        <char *>&conn.state - <char *>&conn, <char *>&conn.flags - <char *>&conn,
        <char *>&conn.scales_client - <char *>&conn, <char *>&conn.scales_server - <char *>&conn,
        <char *>&conn.client_window_log2 - <char *>&conn,
        <char *>&conn.server_window_log2 - <char *>&conn,
        <char *>&record.connection - <char *>&record, <char *>&record.isn - <char *>&record,
        <char *>&record.client_isn - <char *>&record,
        <char *>&record.client_nxt - <char *>&record,
        <char *>&record.our_tsval - <char *>&record,
        <char *>&record.client_tsval - <char *>&record,
        <char *>&record.client_window - <char *>&record,
        <char *>&record.syns_sent - <char *>&record, <char *>&record.stage - <char *>&record,
        <char *>&record.offer - <char *>&record, <char *>&record.envelope - <char *>&record,
        <char *>&server.word - <char *>&server, <char *>&server.address - <char *>&server,
        <char *>&server.entered - <char *>&server,
        <char *>&supply.tsval_base - <char *>&supply, <char *>&supply.ts_recent - <char *>&supply,
        <char *>&supply.mss - <char *>&supply)
    values = (
        STATE_FREE, STATE_SYN_SENT, STATE_ESTABLISHED, STATE_HALF_CLOSED, STATE_TIME_WAIT,
        STATE_CLIENT_RESET, STATE_SERVER_RESET, STATE_CLOSED, STATE_REFUSED, STATE_DELETED,
        CONN_CLIENT_FIN, CONN_SERVER_FIN, CONN_TIMESTAMPS, CONN_RST_DOUBTFUL, CONN_PASSES,
        CONN_STRIP_SACK, CONN_SUPPLIED, CONN_WINDOW_TOLD)
    return [*sizes, *places, *values]


cdef uint64_t hash_of_layout() except? 0:
    cdef SipKey key = SipKey(0, 0)
    cdef bytes words = b"".join(int(word).to_bytes(8, "little") for word in layout())
    return siphash_bytes(<const uint8_t *>words, <uint32_t>len(words), &key)


# "\0syshard" as a little-endian machine writes it; and this build's layout.
cdef uint64_t MAGIC = 0x6472616873797300
cdef uint64_t LAYOUT = hash_of_layout()


cdef inline uint64_t lines(uint64_t size) noexcept nogil:
    return (size + CACHE_LINE_BYTES - 1) // CACHE_LINE_BYTES * CACHE_LINE_BYTES


cdef inline uint64_t learned_end(const Shape *shape) noexcept nogil:
    return lines(sizeof(ShardFile)) + lines(learned_bytes(shape.servers))


cdef inline uint64_t shard_bytes(const Shape *shape) noexcept nogil:
    return (lines(conntable_bytes(shape.connections)) + lines(half_open_bytes(shape.half_open))
            + lines(sizeof(SupplyPool)) + lines(sizeof(Superseded)))


cdef uint64_t shard_file_bytes(const Shape *shape) noexcept nogil:
    return learned_end(shape) + shape.shards * shard_bytes(shape)


cdef ShardFile *shard_file_init(void *block, const Shape *shape, const uint8_t *boot_id,
                                const ClockBase *clock) noexcept nogil:
    cdef ShardFile *file = <ShardFile *>block
    file.magic = MAGIC
    file.layout = LAYOUT
    file.bytes = shard_file_bytes(shape)
    memcpy(file.boot_id, boot_id, BOOT_ID_BYTES)
    file.shape = shape[0]
    file.clock = clock[0]
    file.secrets_at = 0
    return file


cdef Fitness shard_file_judge(const void *block, uint64_t block_bytes,
                              const uint8_t *boot_id) noexcept nogil:
    cdef const ShardFile *file = <const ShardFile *>block
    if block_bytes < sizeof(ShardFile) or file.magic != MAGIC:
        return FOREIGN
    if file.layout != LAYOUT:
        return OTHER_LAYOUT
    if memcmp(file.boot_id, boot_id, BOOT_ID_BYTES) != 0:
        return OTHER_BOOT
    return FITS if shape_holds(file, block_bytes) else OTHER_SIZE


# So that no index of it leads out of the block.
cdef bint shape_holds(const ShardFile *file, uint64_t block_bytes) noexcept nogil:
    cdef const Shape *shape = &file.shape
    cdef const ConnTable *table
    cdef Shard shard
    cdef uint32_t index
    if not (0 < shape.shards <= SHARDS_MAX and 0 < shape.connections <= CONNECTIONS_MAX
            and 0 < shape.half_open <= CONNECTIONS_MAX and 0 < shape.servers <= SERVERS_MAX
            and shape.servers & (shape.servers - 1) == 0 and file.secrets_at < 2
            and file.bytes == shard_file_bytes(shape) and file.bytes <= block_bytes):
        return False
    for index in range(shape.shards):
        shard = shard_file_shard(file, index)
        table = shard.table
        if (shard.half_open.capacity != shape.half_open
                or table.capacity != shape.connections
                or table.bytes != conntable_bytes(table.capacity)
                or CACHE_LINE_BYTES + <uint64_t>(table.bucket_mask + 1) * sizeof(Bucket)
                + <uint64_t>table.capacity * sizeof(Connection) != table.bytes):
            return False
    return True


cdef Shard shard_file_shard(const ShardFile *file, uint32_t index) noexcept nogil:
    cdef Shard shard
    cdef uint8_t *at = <uint8_t *>file + learned_end(&file.shape)
    at += index * shard_bytes(&file.shape)
    shard.table = <ConnTable *>at
    at += lines(conntable_bytes(file.shape.connections))
    shard.half_open = <HalfOpenPool *>at
    at += lines(half_open_bytes(file.shape.half_open))
    shard.supplies = <SupplyPool *>at
    at += lines(sizeof(SupplyPool))
    shard.superseded = <Superseded *>at
    return shard


cdef void *shard_file_learned(const ShardFile *file) noexcept nogil:
    return <uint8_t *>file + lines(sizeof(ShardFile))


cdef const Secrets *shard_file_secrets(const ShardFile *file) noexcept nogil:
    return &file.secrets[file.secrets_at]


cdef void shard_file_keep_secrets(ShardFile *file, const Secrets *secrets) noexcept nogil:
    cdef uint32_t other = 1 - file.secrets_at
    file.secrets[other] = secrets[0]
    store_barrier()
    file.secrets_at = other


cdef uint64_t shard_file_alive_ns(const ShardFile *file) noexcept nogil:
    cdef uint64_t alive_ns = 0
    cdef uint64_t of_shard
    cdef uint32_t index
    for index in range(file.shape.shards):
        of_shard = shard_file_shard(file, index).table.alive_ns
        alive_ns = max(alive_ns, of_shard)
    return alive_ns
