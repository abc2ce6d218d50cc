"""synproxy secret rotate."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import CHANGE_TIMEOUT_S, connected
from appliance.cli.output import applied_text, format_option, message_text
from appliance.cli.system import secret_text


@click.group("secret")
def command() -> None:
    """Change the secret of the cookies."""


@command.command("rotate")
@format_option
@click.pass_obj
def rotate_secret(address: str | None, output: str) -> None:
    """Draw another secret for the cookies.

    It counts from the next minute on; cookies that were sent before stay good as long as any, and
    connections don't notice.
    """
    with connected(address, told_by="synproxy system show") as channel:
        answer = SystemServiceStub(channel).RotateSecret(
            api.RotateSecretRequest(), timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    applied = applied_text(answer.generation, answer.apply_time)
    click.echo(f"{secret_text(answer.secret)}; {applied}")
