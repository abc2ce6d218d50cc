"""synproxy log-level."""

import click
from synproxy.v1 import system_service_pb2 as api
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.cli.connection import CHANGE_TIMEOUT_S, TIMEOUT_S, connected
from appliance.cli.output import format_option, message_text, table_text


@click.command("log-level")
@click.option("--daemon", metavar="LEVEL", help="Of the daemon's own lines.")
@click.option("--dpdk", metavar="LEVEL", help="Of DPDK's.")
@format_option
@click.pass_obj
def command(address: str | None, daemon: str | None, dpdk: str | None, output: str) -> None:
    """Show or set how much is logged, until the daemon ends.

    LEVEL is emergency, alert, critical, error, warning, notice, info or debug.
    """
    with connected(address, told_by="synproxy log-level") as channel:
        stub = SystemServiceStub(channel)
        if daemon is None and dpdk is None:
            system = stub.GetSystem(api.GetSystemRequest(), timeout=TIMEOUT_S)
            answer = api.SetLogLevelResponse(
                levels=system.log_levels, previous=system.log_levels)
        else:
            answer = stub.SetLogLevel(
                api.SetLogLevelRequest(daemon=daemon, dpdk=dpdk), timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    rows = [(of, getattr(answer.previous, of), getattr(answer.levels, of))
            for of in ("daemon", "dpdk")]
    click.echo(table_text(("LOG", "BEFORE", "AFTER"), rows))
