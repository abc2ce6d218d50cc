"""synproxy service list | get | set."""

import sys

import click
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli.connection import TIMEOUT_S, connected
from appliance.cli.options import assignments_apply, option_texts
from appliance.cli.output import format_option, message_text, table_text
from appliance.exit_codes import ExitCode


@click.group("service")
def command() -> None:
    """List, show and change the protected services."""


@command.command("list")
@format_option
@click.pass_obj
def list_services(address: str | None, output: str) -> None:
    """List all services with the options that are set for them."""
    with connected(address) as channel:
        answer = ServicesServiceStub(channel).ListServices(
            api.ListServicesRequest(), timeout=TIMEOUT_S
        )
    if output != "table":
        click.echo(message_text(answer, output))
        return
    rows = [
        (
            service.name, " ".join(service.prefixes), " ".join(service.ports),
            " ".join(f"{path}={text}" for path, text in option_texts(service.options).items()),
        )
        for service in answer.services
    ]
    click.echo(table_text(("SERVICE", "PREFIXES", "PORTS", "OPTIONS"), rows))


@command.command("get")
@click.argument("name")
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
    click.echo(f"{service.name}: {' '.join(service.prefixes)} ports {' '.join(service.ports)}")
    click.echo(table_text(("OPTION", "SET", "EFFECTIVE"), rows))


@command.command("set")
@click.argument("name")
@click.argument("assignments", nargs=-1, required=True, metavar="OPTION=VALUE...")
@click.option("--validate-only", is_flag=True, help="Check and show, but change nothing.")
@format_option
@click.pass_obj
def set_options(
    address: str | None, name: str, assignments: tuple[str, ...], validate_only: bool, output: str
) -> None:
    """Change options of a running service.

    For example: service set web mss=1400 timeouts.established=2h sack=default.  The value
    "default" takes back what was set.  Connections in progress go on untouched.
    """
    wanted = Service(name=name)
    try:
        paths = assignments_apply(assignments, wanted.options)
    except ValueError as error:
        for line in str(error).splitlines():
            click.echo(f"synproxy: {line}", err=True)
        sys.exit(ExitCode.INVALID)
    request = api.UpdateServiceRequest(
        service=wanted,
        update_mask=FieldMask(paths=[f"options.{path}" for path in paths]),
        validate_only=validate_only,
    )
    with connected(address) as channel:
        answer = ServicesServiceStub(channel).UpdateService(request, timeout=TIMEOUT_S)
    click.echo(message_text(answer, output) if output != "table" else _change_text(answer, paths))


def _change_text(answer: api.UpdateServiceResponse, paths: list[str]) -> str:
    before = option_texts(answer.previous.effective_options)
    after = option_texts(answer.service.effective_options)
    rows = [
        (path, before[path], text) for path, text in after.items()
        if path in paths or before[path] != text
    ]
    took_ms = answer.apply_time.ToNanoseconds() / 1e6
    end = (
        f"all workers run generation {answer.generation} after {took_ms:.1f} ms"
        if answer.generation else "valid; nothing was changed"
    )
    return table_text(("OPTION", "BEFORE", "AFTER"), rows) + "\n" + end
