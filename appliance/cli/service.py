"""synproxy service list | get | watch; what changes services stands in service_change."""

import click
import grpc
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli.complete import service_names
from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.interrupt import until_ctrl_c
from appliance.cli.options import option_texts
from appliance.cli.output import format_option, message_text, table_text
from appliance.cli.service_change import create_service, delete_service, set_service

PAGE_SIZE = 1000
SHOWN = FieldMask(paths=["name", "prefixes", "ports", "options"])    # in a table


@click.group("service")
def command() -> None:
    """List, show and change the protected services."""


@command.command("list")
@format_option
@click.pass_obj
def list_services(address: str | None, output: str) -> None:
    """List all services with the options that are set for them."""
    with connected(address) as channel:
        answer = _listed(channel, SHOWN if output == "table" else None)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    rows = [row_of(service) for service in answer.services]
    click.echo(table_text(("SERVICE", "PREFIXES", "PORTS", "OPTIONS"), rows))
    for left in answer.leaving:
        click.echo(f"leaving: {left.name}, connections {left.connections}")


def _listed(channel: grpc.Channel, fields: FieldMask | None) -> api.ListServicesResponse:
    """All pages in one; the last one says what leaves."""
    stub, listed = ServicesServiceStub(channel), api.ListServicesResponse()
    request = api.ListServicesRequest(page_size=PAGE_SIZE, read_mask=fields)
    while True:
        page = stub.ListServices(request, timeout=TIMEOUT_S)
        listed.MergeFrom(page)
        if not page.next_page_token:
            listed.next_page_token = ""
            return listed
        request.page_token = page.next_page_token


def row_of(service: Service) -> tuple[str, str, str, str]:
    options = option_texts(service.options)
    return (
        service.name, " ".join(service.prefixes), " ".join(service.ports),
        " ".join(f"{path}={text}" for path, text in options.items()),
    )


@command.command("get")
@click.argument("name", shell_complete=service_names)
@format_option
@click.pass_obj
def get_service(address: str | None, name: str, output: str) -> None:
    """Show a service: what is set for it, and what is in effect."""
    with connected(address) as channel:
        service = ServicesServiceStub(channel).GetService(
            api.GetServiceRequest(name=name), timeout=TIMEOUT_S
        ).service
    if output != "table":
        click.echo(message_text(service, output))
        return
    own = option_texts(service.options)
    effective = option_texts(service.effective_options)
    rows = [(path, own.get(path, "-"), text) for path, text in effective.items()]
    click.echo(f"{service.name}: {' '.join(service.prefixes)} ports {' '.join(service.ports)},"
               f" etag {service.etag}")
    click.echo(table_text(("OPTION", "SET", "EFFECTIVE"), rows))


@command.command("watch")
@format_option
@click.pass_obj
def watch_services(address: str | None, output: str) -> None:
    """Show all services, then each change as it comes, until Ctrl-C."""
    with connected(address) as channel, until_ctrl_c(channel):
        for event in ServicesServiceStub(channel).WatchServices(api.WatchServicesRequest()):
            if output != "table":
                click.echo(message_text(event, output))
            elif event.HasField("service"):
                kind = api.WatchServicesResponse.Kind.Name(event.kind).removeprefix("KIND_")
                click.echo(f"{event.generation:>8}  {kind.lower():<8}  {_line(event.service)}")
            elif event.lost:
                click.echo(f"{event.lost} changes are lost; all services follow anew", err=True)


def _line(service: Service) -> str:
    return f"{service.name}  {' '.join(row_of(service)[1:])}"


command.add_command(create_service)
command.add_command(set_service)
command.add_command(delete_service)
