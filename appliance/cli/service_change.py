"""synproxy service create | set | delete."""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.cli.complete import assignments, service_names
from appliance.cli.connection import CHANGE_TIMEOUT_S, HISTORY, connected
from appliance.cli.options import assignments_apply, option_fields, option_texts
from appliance.cli.output import applied_text, format_option, message_text, table_text
from appliance.config.schema import field_words
from appliance.exit_codes import ExitCode

_PREFIXES = click.option(
    "--prefix", "prefixes", multiple=True, metavar="PREFIX",
    help="A server address or CIDR prefix; may be given again.")
_PORTS = click.option(
    "--port", "ports", multiple=True, metavar="PORT",
    help='A server port or range, "443" or "8000-8100"; may be given again.')
_ETAG = click.option(
    "--etag", default="", metavar="ETAG",
    help="Change it only if it still has this etag (see `service get`).")
_ASSIGNMENTS = click.argument(
    "assignments", nargs=-1, metavar="[OPTION=VALUE]...", shell_complete=assignments)
_VALIDATE = click.option("--validate-only", is_flag=True, help="Check and show, change nothing.")


class _WithOptions(click.Command):
    """Its help lists the options of a service, out of the schema."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Options of a service, of which `synproxy explain` says more"):
            formatter.write_dl([(path, field_words(field)) for path, field in option_fields()])


def _command(name: str, *options: Callable[[Any], Any]) -> Callable[[Any], click.Command]:
    """A command on a service by name, with these options and --output."""

    def decorate(function: Any) -> click.Command:
        function = click.pass_obj(function)
        # A new service has a name that isn't there yet.
        named = click.argument("name", shell_complete=None if name == "create" else service_names)
        for option in reversed([named, *options, _VALIDATE, format_option]):
            function = option(function)
        kind = click.Command if name == "delete" else _WithOptions
        made: click.Command = click.command(name, cls=kind)(function)
        return made

    return decorate


@_command(
    "create", _PREFIXES, _PORTS, _ASSIGNMENTS)
def create_service(
    address: str | None, name: str, prefixes: Sequence[str], ports: Sequence[str],
    assignments: Sequence[str], validate_only: bool, output: str,
) -> None:
    """Protect more addresses and ports, as a new service.

    For example: service create mail --prefix 192.0.2.25 --port 25 --port 587 early_data=false.
    Where the daemon has a state_folder, it survives a restart; else it lasts until the daemon ends,
    unless the configuration file has it as well.
    """
    wanted = Service(name=name, prefixes=prefixes, ports=ports)
    _assign(assignments, wanted)
    with connected(address, told_by=HISTORY) as channel:
        answer = ServicesServiceStub(channel).CreateService(
            api.CreateServiceRequest(service=wanted, validate_only=validate_only),
            timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    click.echo(f"{name}: {' '.join(prefixes)} ports {' '.join(ports)}; "
               + _end(answer.generation, answer.apply_time))


@_command(
    "set", _PREFIXES, _PORTS, _ETAG, _ASSIGNMENTS)
def set_service(
    address: str | None, name: str, prefixes: Sequence[str], ports: Sequence[str], etag: str,
    assignments: Sequence[str], validate_only: bool, output: str,
) -> None:
    """Change a running service.

    For example: service set web mss=1400 timeouts.established=2h sack=default.  The value
    "default" takes back what was set; --prefix and --port replace all that there are.
    Connections in progress go on untouched.
    """
    wanted = Service(name=name, prefixes=prefixes, ports=ports, etag=etag)
    paths = _assign(assignments, wanted)
    lists = [path for path, values in (("prefixes", prefixes), ("ports", ports)) if values]
    if not paths and not lists:
        raise click.UsageError("nothing to change: give OPTION=VALUE, --prefix or --port")
    request = api.UpdateServiceRequest(
        service=wanted,
        update_mask=FieldMask(paths=[*lists, *(f"options.{path}" for path in paths)]),
        validate_only=validate_only,
    )
    with connected(address, told_by=HISTORY) as channel:
        answer = ServicesServiceStub(channel).UpdateService(request, timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    rows = _changes(answer.previous, answer.service, {*paths, *lists})
    click.echo(table_text(("OPTION", "BEFORE", "AFTER"), rows))
    click.echo(_end(answer.generation, answer.apply_time))


@_command("delete", _ETAG)
def delete_service(
    address: str | None, name: str, etag: str, validate_only: bool, output: str
) -> None:
    """Protect a service's addresses no more.

    Its connections go on to their end; later SYNs pass to the server.
    """
    with connected(address, told_by=HISTORY) as channel:
        answer = ServicesServiceStub(channel).DeleteService(
            api.DeleteServiceRequest(name=name, etag=etag, validate_only=validate_only),
            timeout=CHANGE_TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
        return
    click.echo(f"{name}: {_end(answer.generation, answer.apply_time)}")


def _assign(assignments: Sequence[str], wanted: Service) -> list[str]:
    """Ends the program where an assignment is wrong."""
    try:
        return assignments_apply(assignments, wanted.options)
    except ValueError as error:
        for line in str(error).splitlines():
            click.echo(f"synproxy: {line}", err=True)
        sys.exit(ExitCode.INVALID)


def _changes(before: Service, after: Service, asked: set[str]) -> list[tuple[str, str, str]]:
    rows = [(path, " ".join(getattr(before, path)), " ".join(getattr(after, path)))
            for path in ("prefixes", "ports")]
    former = option_texts(before.effective_options)
    rows += [(path, former[path], text)
             for path, text in option_texts(after.effective_options).items()]
    return [row for row in rows if row[0] in asked or row[1] != row[2]]


def _end(generation: int, apply_time: Duration) -> str:
    if not generation:
        return "valid; nothing was changed"
    return applied_text(generation, apply_time)
