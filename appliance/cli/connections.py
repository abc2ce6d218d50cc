"""synproxy connection list | delete."""

import click
from google.protobuf.message import Message
from synproxy.v1 import connections_service_pb2 as api
from synproxy.v1.connections_service_pb2_grpc import ConnectionsServiceStub

from appliance.cli.complete import service_names
from appliance.cli.connection import CHANGE_TIMEOUT_S, TIMEOUT_S, connected
from appliance.cli.output import format_option, message_text, table_text
from appliance.cli.watch import look, watch_options
from appliance.config.duration import duration_ns, duration_text
from appliance.ends import end_parse, end_text

PAGE_SIZE = 1000
_STATES = [name.removeprefix("STATE_").lower() for name in api.Connection.State.keys()[1:]]
_HEAD = ("CLIENT", "SERVER", "SERVICE", "STATE", "IDLE", "WORKER", "FIN", "NUMBERS")


@click.group("connection")
def command() -> None:
    """List connections, and end them."""


@command.command("list")
@click.option("--service", default="", metavar="NAME", shell_complete=service_names,
              help="Only those of this service.")
@click.option("--client", "client_prefix", default="", metavar="PREFIX",
              help="Only clients in this prefix.")
@click.option("--server", "server_prefix", default="", metavar="PREFIX",
              help="Only servers in this prefix.")
@click.option("--state", "states", multiple=True, type=click.Choice(_STATES),
              help="Only this state.  May be given again.")
@click.option("--limit", type=click.IntRange(min=1), default=1000, show_default=True,
              help="Show no more than so many.")
@watch_options()
@format_option
@click.pass_obj
def list_connections(
    address: str | None, service: str, client_prefix: str, server_prefix: str,
    states: tuple[str, ...], limit: int, watch: bool, interval: float, output: str,
) -> None:
    """List the connections, with those that have ended and are remembered.

    Connections that begin or end meanwhile may be missing.  IDLE is in steps of 4 s.  FIN is whose
    has passed.  NUMBERS are translated, or pass where the handshake was not the proxy's.  The
    longer the daemon looks, the longer are the pauses of --watch.
    """
    request = api.ListConnectionsRequest(
        service=service, client_prefix=client_prefix, server_prefix=server_prefix,
        states=[f"STATE_{state.upper()}" for state in states],
    )

    def more(listed: api.ListConnectionsResponse) -> str:
        return f"there may be more than these {limit} (--limit)" if listed.next_page_token else ""

    with connected(address) as channel:
        stub = ConnectionsServiceStub(channel)
        look(
            channel, lambda: _listed(stub, request, limit), _text, output,
            interval if watch else None, seldom=True, aside=more)


def _listed(
    stub: ConnectionsServiceStub, request: api.ListConnectionsRequest, limit: int
) -> api.ListConnectionsResponse:
    """All pages in one, up to the limit."""
    listed = api.ListConnectionsResponse()
    request.page_token = ""
    while left := limit - len(listed.connections):
        request.page_size = min(left, PAGE_SIZE)
        page = stub.ListConnections(request, timeout=TIMEOUT_S)
        listed.connections.extend(page.connections)
        listed.next_page_token = request.page_token = page.next_page_token
        if not page.next_page_token:
            break
    return listed


def _text(listed: api.ListConnectionsResponse) -> str:
    return table_text(_HEAD, [_row(one) for one in listed.connections], numbers=(4, 5))


def _row(one: api.Connection) -> tuple[object, ...]:
    fins = [side for side, fin in (("client", one.client_fin), ("server", one.server_fin)) if fin]
    service = f"{one.service} (leaving)" if one.leaving else one.service or "-"
    return (
        end_text(one.client_address, one.client_port),
        end_text(one.server_address, one.server_port),
        service, api.Connection.State.Name(one.state).removeprefix("STATE_").lower(),
        duration_text(duration_ns(one.idle)), one.lcore, "+".join(fins) or "-",
        "pass" if one.passes else "translated",
    )


class _End(click.ParamType[tuple[str, int]]):
    name = "address:port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, int]:
        try:
            return end_parse(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


@command.command("delete")
@click.argument("client", type=_End())
@click.argument("server", type=_End())
@format_option
@click.pass_obj
def delete_connection(
    address: str | None, client: tuple[str, int], server: tuple[str, int], output: str
) -> None:
    """End a connection: both ends get a RST.

    CLIENT and SERVER are its ends, each an ADDRESS:PORT.
    """
    request = api.DeleteConnectionRequest(
        client_address=client[0], client_port=client[1],
        server_address=server[0], server_port=server[1],
    )
    with connected(address, told_by="synproxy connection list") as channel:
        answer: Message = ConnectionsServiceStub(channel).DeleteConnection(
            request, timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
    else:
        click.echo(f"deleted: {end_text(*client)} to {end_text(*server)}")
