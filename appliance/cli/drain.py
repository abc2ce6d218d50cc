"""synproxy drain."""

import sys
import time

import click
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import CHANGE_TIMEOUT_S, TIMEOUT_S, connected
from appliance.cli.duration_value import duration_value
from appliance.cli.output import applied_text, format_option, message_text
from appliance.cli.system import drain_text
from appliance.config.duration import NS_PER_S, duration_ns
from appliance.exit_codes import ExitCode

LOOK_S = 1.0        # between two looks at how far it is


@click.command("drain")
@click.option(
    "--policy", type=click.Choice(["bridge", "drop"]), default="bridge", show_default=True,
    help="What becomes of SYNs: they pass to the server, or are dropped.")
@click.option("--wait", is_flag=True, help="Wait until no connection needs the proxy any more.")
@click.option(
    "--timeout", callback=duration_value, metavar="DURATION",
    help="Wait so long at most, such as 10m; then exit code 1, and it drains on.")
@format_option
@click.pass_obj
def command(
    address: str | None, policy: str, wait: bool, timeout: Duration | None, output: str
) -> None:
    """Take no new connections; those there are go on.

    It drains until `synproxy undrain` or the daemon's end, also when the waiting is interrupted;
    `synproxy system show` says how far it is.  Exit code 4 where somebody else ends it meanwhile.
    """
    request = api.DrainRequest(policy=f"DRAIN_POLICY_{policy.upper()}")
    with connected(address, told_by="synproxy system show") as channel:
        stub = SystemServiceStub(channel)
        answer = stub.Drain(request, timeout=CHANGE_TIMEOUT_S)
        if wait:
            applied = applied_text(answer.generation, answer.apply_time)
            click.echo(f"draining; {applied}", err=True)
            answer.drain.CopyFrom(_awaited(stub, timeout))
    if output != "table":
        click.echo(message_text(answer, output))
    elif wait:
        click.echo(f"drained: {drain_text(answer.drain)}")
    else:
        applied = applied_text(answer.generation, answer.apply_time)
        click.echo(f"{drain_text(answer.drain)}; {applied}")


def _awaited(stub: SystemServiceStub, timeout: Duration | None) -> api.DrainState:
    """Its state once it is done.  Ends the program where that doesn't come."""
    deadline_s = None
    if timeout is not None:
        deadline_s = time.monotonic() + duration_ns(timeout) / NS_PER_S
    shown = ""
    while True:
        drain: api.DrainState = stub.GetDrain(api.GetDrainRequest(), timeout=TIMEOUT_S).drain
        if not drain.draining:
            click.echo("synproxy: somebody else has ended the drain", err=True)
            sys.exit(ExitCode.CONFLICT)
        if drain.done:
            return drain
        if drain_text(drain) != shown:
            shown = drain_text(drain)
            click.echo(shown, err=True)
        if deadline_s is not None and time.monotonic() >= deadline_s:
            click.echo("synproxy: not drained in time; it drains on", err=True)
            sys.exit(ExitCode.FAILED)
        time.sleep(LOOK_S)
