"""How much of the daemon one listener's callers can take.  config.proto and README state it.

Every listener is a gRPC server of its own, so that none takes the room of another's callers.
"""

from synproxy.v1.rule_pb2 import ROLE_OPERATOR

from appliance.config.listening import Listening

MIB = 1 << 20

CONNECTIONS_MAX = 128
CALLS_MAX = 128                 # in all; a stream counts as long as it lasts
CALLS_PER_CONNECTION_MAX = 64
# Of the calls those that stream, by method.  They last, so that 16 places are left for all others,
# a probe's among them.
STREAMS_MAX = {
    "/synproxy.v1.ServicesService/WatchServices": 32,
    "/synproxy.v1.StatsService/WatchStats": 32,
    "/synproxy.v1.EventsService/WatchEvents": 24,
    # One captures; of others there is something left to read.
    "/synproxy.v1.CaptureService/Capture": 8,
    "/grpc.health.v1.Health/Watch": 8,
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": 8,
}
REQUEST_BYTES_MAX = 4 * MIB     # of callers who only look
# Where a whole configuration may be applied, a file of 16 MiB (load.FILE_BYTES_MAX) fits in: as a
# message a prefix or a port range may take a byte more, and there are 1 Mi of them (RULES_MAX).
# It is taken in before its caller's role is looked at, so that 128 calls are 2.1 GiB of bytes, and
# three times that of messages: not for everybody to ask for.
APPLY_BYTES_MAX = 17 * MIB
ANSWER_BYTES_MAX = 64 * MIB     # a list of 100,000 services
# Of an answer, which has more besides: where each of 100,000 is another one, they take more.
DIFFERENCES_BYTES_MAX = 32 * MIB
# Longer than a change waits for the workers (catalogue.ACKNOWLEDGE_TIMEOUT_S), and for some
# changes before it.
UNARY_DEADLINE_S = 30.0
# From its first word until its request is whole, of any call; of a unary one until its answer is
# taken, too: at 64 MiB some 6 Mbit/s.
CALL_S = 120.0

SECOND_MS = 1000
MINUTE_MS = 60 * SECOND_MS
HANDSHAKE_MS = 10 * SECOND_MS
# gRPC varies an age by 10 % either way; with the calls' last minutes it stays below an hour.
AGE_MS = 50 * MINUTE_MS
AGE_GRACE_MS = 5 * MINUTE_MS

Options = tuple[tuple[str, int], ...]

# grpc/impl/channel_arg_names.h
_OPTIONS: Options = (
    # Two daemons on one TCP port would share its calls without a word.
    ("grpc.so_reuseport", 0),
    ("grpc.max_send_message_length", ANSWER_BYTES_MAX),
    ("grpc.max_concurrent_streams", CALLS_PER_CONNECTION_MAX),
    ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
    ("grpc.server_handshake_timeout_ms", HANDSHAKE_MS),
    # A peer that has gone without a word is given up ...
    ("grpc.keepalive_time_ms", MINUTE_MS),
    ("grpc.keepalive_timeout_ms", 20 * SECOND_MS),
    # ... and one that pings more often than this is sent away, at the third time.
    ("grpc.http2.min_ping_interval_without_data_ms", MINUTE_MS),
    ("grpc.http2.max_ping_strikes", 2),
    # A connection without calls is closed; clients open another one unasked.
    ("grpc.max_connection_idle_ms", 15 * MINUTE_MS),
)
# What a certificate proved at the handshake may have ended since.
_TLS_OPTIONS: Options = (
    ("grpc.max_connection_age_ms", AGE_MS),
    ("grpc.max_connection_age_grace_ms", AGE_GRACE_MS),
)


def request_bytes_max(listening: Listening) -> int:
    return APPLY_BYTES_MAX if listening.highest_role >= ROLE_OPERATOR else REQUEST_BYTES_MAX


def server_options(listening: Listening) -> Options:
    length = ("grpc.max_receive_message_length", request_bytes_max(listening))
    return (*_OPTIONS, length, *(_TLS_OPTIONS if listening.tls else ()))
