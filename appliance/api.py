"""The services of the API by name, as the schema has them."""

from synproxy.v1 import (
    capture_service_pb2,
    config_service_pb2,
    connections_service_pb2,
    events_service_pb2,
    servers_service_pb2,
    services_service_pb2,
    stats_service_pb2,
    system_service_pb2,
)

# What the health service answers for by name; "" is liveness, these are readiness.
SERVICE_NAMES: tuple[str, ...] = tuple(
    service.full_name
    for file in (
        services_service_pb2.DESCRIPTOR, servers_service_pb2.DESCRIPTOR,
        config_service_pb2.DESCRIPTOR, stats_service_pb2.DESCRIPTOR,
        connections_service_pb2.DESCRIPTOR, events_service_pb2.DESCRIPTOR,
        capture_service_pb2.DESCRIPTOR, system_service_pb2.DESCRIPTOR,
    )
    for service in file.services_by_name.values()
)
# NOT_SERVING where the configuration file as it is now wasn't taken, changes are not kept that
# should be, or a worker doesn't run them in time.  The daemon serves on, and to start it again
# would make it worse: it is no part of the readiness.
CONFIGURATION = "synproxy.configuration"
