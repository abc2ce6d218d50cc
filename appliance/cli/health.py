"""synproxy health: the standard health service, for people and for a container's HEALTHCHECK."""

import sys

import click
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1 import (
    servers_service_pb2,
    services_service_pb2,
    stats_service_pb2,
    system_service_pb2,
)

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import table_text
from appliance.exit_codes import ExitCode

_NAMES = ("", *(
    service.full_name
    for file in (services_service_pb2.DESCRIPTOR, servers_service_pb2.DESCRIPTOR,
                 stats_service_pb2.DESCRIPTOR, system_service_pb2.DESCRIPTOR)
    for service in file.services_by_name.values()
))


@click.command("health")
@click.pass_obj
def command(address: str | None) -> None:
    """Show whether the daemon is alive and ready; exit code 6 where it isn't."""
    with connected(address) as channel:
        states = {name: _state(channel, name) for name in _NAMES}
    rows = [(name or "(the daemon)", state) for name, state in states.items()]
    click.echo(table_text(("SERVICE", "STATE"), rows))
    if set(states.values()) != {"SERVING"}:
        sys.exit(ExitCode.UNAVAILABLE)


def _state(channel: grpc.Channel, name: str) -> str:
    answer = HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=TIMEOUT_S)
    return str(HealthCheckResponse.ServingStatus.Name(answer.status))
