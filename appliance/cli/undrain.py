"""synproxy undrain."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import CHANGE_TIMEOUT_S, connected
from appliance.cli.output import applied_text, format_option, message_text
from appliance.cli.system import drain_text


@click.command("undrain")
@format_option
@click.pass_obj
def command(address: str | None, output: str) -> None:
    """Take new connections again."""
    with connected(address, told_by="synproxy system show") as channel:
        answer = SystemServiceStub(channel).Undrain(api.UndrainRequest(), timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    was = drain_text(answer.previous) if answer.previous.draining else "it didn't drain"
    click.echo(f"was: {was}; {applied_text(answer.generation, answer.apply_time)}")
