"""synproxy health: the standard health service, for people and for a container's HEALTHCHECK."""

import sys

import click
from grpc_health.v1.health_pb2 import HealthCheckResponse, HealthListRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from appliance.api import CONFIGURATION, SERVICE_NAMES
from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, message_text, table_text
from appliance.exit_codes import ExitCode

NAMES = ("", *SERVICE_NAMES, CONFIGURATION)


@click.command("health")
@click.option("--strict", is_flag=True, help=f"Count {CONFIGURATION}, too.")
@format_option
@click.pass_obj
def command(address: str | None, strict: bool, output: str) -> None:
    """Show whether the daemon is alive and ready; exit code 6 where it isn't.

    Not ready are workers that make no turn.  synproxy.configuration is NOT_SERVING where the
    configuration file wasn't taken, changes are not kept, or a worker doesn't run them in time: the
    daemon serves on, and `synproxy config show` says why.
    """
    with connected(address) as channel:
        answer = HealthStub(channel).List(HealthListRequest(), timeout=TIMEOUT_S)
    states = {name: HealthCheckResponse.ServingStatus.Name(answer.statuses[name].status)
              for name in NAMES}
    if output != "table":
        click.echo(message_text(answer, output))
    else:
        rows = [(name or "(the daemon)", state) for name, state in states.items()]
        click.echo(table_text(("SERVICE", "STATE"), rows))
    counted = [state for name, state in states.items() if strict or name != CONFIGURATION]
    if set(counted) != {"SERVING"}:
        sys.exit(ExitCode.UNAVAILABLE)
