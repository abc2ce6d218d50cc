"""synproxy server list."""

import click
from synproxy.v1 import servers_service_pb2 as api
from synproxy.v1.servers_service_pb2_grpc import ServersServiceStub

from appliance.cli.complete import service_names
from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.output import format_option, table_text
from appliance.cli.watch import look, watch_options
from appliance.config.duration import duration_ns, duration_text

PAGE_SIZE = 1000


@click.group("server")
def command() -> None:
    """Show what is learned of the servers."""


@command.command("list")
@click.option(
    "--service", default="", metavar="NAME", shell_complete=service_names,
    help="Only the servers of this service.")
@watch_options()
@format_option
@click.pass_obj
def list_servers(
    address: str | None, service: str, watch: bool, interval: float, output: str
) -> None:
    """List the servers that have answered, with their options.

    Later clients are told the same, as far as nobody sets an option for the service.  What no
    client has asked a server for yet stands as most have it: 7, yes, yes.  AGE is the time since
    its newest SYN-ACK.  The more there are, the longer are the pauses of --watch.
    """
    with connected(address) as channel:
        stub = ServersServiceStub(channel)
        look(
            channel, lambda: _listed(stub, service), _text, output, interval if watch else None,
            seldom=True)


def _listed(stub: ServersServiceStub, service: str) -> api.ListServersResponse:
    """All pages in one."""
    request = api.ListServersRequest(service=service, page_size=PAGE_SIZE)
    listed = api.ListServersResponse()
    while True:
        page = stub.ListServers(request, timeout=TIMEOUT_S)
        listed.servers.extend(page.servers)
        if not page.next_page_token:
            return listed
        request.page_token = page.next_page_token


def _text(listed: api.ListServersResponse) -> str:
    rows = [
        (
            server.address, server.port, server.service or "-", server.mss,
            server.wscale if server.HasField("wscale") else "-",
            "yes" if server.sack else "no", "yes" if server.timestamps else "no",
            duration_text(duration_ns(server.age)),
        )
        for server in listed.servers
    ]
    head = ("ADDRESS", "PORT", "SERVICE", "MSS", "WSCALE", "SACK", "TIMESTAMPS", "AGE")
    return table_text(head, rows, numbers=(1, 3, 4, 7))
