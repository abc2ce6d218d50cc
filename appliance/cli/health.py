"""synproxy health: the standard health service, for people and for a container's HEALTHCHECK."""

import sys

import click
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from appliance.api import CONFIGURATION, SERVICE_NAMES
from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import table_text
from appliance.exit_codes import ExitCode


@click.command("health")
@click.option("--strict", is_flag=True, help=f"Count {CONFIGURATION}, too.")
@click.pass_obj
def command(address: str | None, strict: bool) -> None:
    """Show whether the daemon is alive and ready; exit code 6 where it isn't.

    Not ready are workers that make no turn.  synproxy.configuration is NOT_SERVING where the
    configuration file wasn't taken, changes are not kept, or a worker doesn't run them in time: the
    daemon serves on, and `synproxy config show` says why.
    """
    with connected(address) as channel:
        states = {name: _state(channel, name) for name in ("", *SERVICE_NAMES, CONFIGURATION)}
    rows = [(name or "(the daemon)", state) for name, state in states.items()]
    click.echo(table_text(("SERVICE", "STATE"), rows))
    counted = [state for name, state in states.items() if strict or name != CONFIGURATION]
    if set(counted) != {"SERVING"}:
        sys.exit(ExitCode.UNAVAILABLE)


def _state(channel: grpc.Channel, name: str) -> str:
    answer = HealthStub(channel).Check(HealthCheckRequest(service=name), timeout=TIMEOUT_S)
    return str(HealthCheckResponse.ServingStatus.Name(answer.status))
