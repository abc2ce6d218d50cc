"""synproxy config show | save | diff | history; what changes it stands in config_change."""

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import grpc
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.revision_pb2 import Difference, Revision

from appliance.cli.config_change import (
    apply_config,
    check_config,
    confirm_config,
    rollback_config,
)
from appliance.cli.connection import CODES, TIMEOUT_S, connected
from appliance.cli.differences import difference_words, differences_text
from appliance.cli.output import format_option, message_text, moment_text, table_text
from appliance.cli.whole_file import file_write
from appliance.config.writer import config_text
from appliance.exit_codes import ExitCode

PAGE_SIZE = 1000
DIFFERENCES_SHOWN = 3
# A file with mistakes is no file that differs, which a script must be able to tell apart.
_DIFF_CODES = {**CODES, grpc.StatusCode.FAILED_PRECONDITION: ExitCode.INVALID}

_REVISION = click.option(
    "--revision", type=click.IntRange(min=1), metavar="NUMBER", help="A former one.")


@click.group("config")
def command() -> None:
    """Show, compare, apply and roll back what runs."""


@command.command("show")
@_REVISION
@click.option(
    "-o", "--output", type=click.Choice(["yaml", "json"]), default="yaml", show_default=True,
    help="As a configuration file, or with all that the daemon says.",
)
@click.pass_obj
def show_config(address: str | None, revision: int | None, output: str) -> None:
    """Show what runs, as a configuration file.

    A former revision has services and defaults alone.
    """
    with connected(address) as channel:
        answer = ConfigServiceStub(channel).GetConfig(
            api.GetConfigRequest(revision=revision or 0), timeout=TIMEOUT_S)
    if output == "json":
        click.echo(message_text(answer, output))
        return
    click.echo(_file_text(answer), nl=False)


@command.command("save")
@_REVISION
@click.option("--replace", is_flag=True, help="Put it in the place of a file that is there.")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.pass_obj
def save_config(address: str | None, revision: int | None, replace: bool, file: Path) -> None:
    """Write what runs to a file, whole or not at all.

    It is what `config show` shows, for its owner alone to read.
    """
    with connected(address) as channel:
        answer = ConfigServiceStub(channel).GetConfig(
            api.GetConfigRequest(revision=revision or 0), timeout=TIMEOUT_S)
    try:
        file_write(file, _file_text(answer), replace=replace)
    except FileExistsError:
        raise click.UsageError(f"{file} is there; --replace puts this in its place") from None
    except OSError as error:
        click.echo(f"synproxy: {file}: can't be written: {error.strerror}", err=True)
        sys.exit(ExitCode.FAILED)


def _file_text(answer: api.GetConfigResponse) -> str:
    head = "".join(f"# {line}\n" for line in _about(answer))
    return head + config_text(answer.config)


def _about(answer: api.GetConfigResponse) -> Iterator[str]:
    """Who made the revision, and what an operator should know."""
    revision = answer.revision
    if revision.number:
        yield f"revision {revision.number}, {moment_text(revision.create_time)}, {revision.by}"
    if not answer.file.taken:
        yield f"{answer.file.path} was not taken:"
        yield from (f"  {line}" for line in answer.file.reason.splitlines())
    folder = answer.state_folder
    if not folder.persistent:
        yield "changes over gRPC last until the daemon ends"
    yield from folder.notices
    if answer.late_workers:
        cores = ", ".join(map(str, answer.late_workers))
        yield f"published, but not run by the worker on core {cores}"


@command.command("diff")
@_REVISION
@click.option("--exit-code", is_flag=True, help="End with exit code 4 where anything differs.")
@format_option
@click.pass_obj
def diff_config(
    address: str | None, revision: int | None, exit_code: bool, output: str
) -> None:
    """Show what the configuration file has otherwise than what runs.

    The daemon's own file is meant, as it is now; with --revision, a former revision.  Exit code 5
    where the file has mistakes, or can't be read.
    """
    with connected(address, codes=_DIFF_CODES) as channel:
        answer = ConfigServiceStub(channel).DiffConfig(
            api.DiffConfigRequest(revision=revision or 0), timeout=TIMEOUT_S)
    if output != "table":
        click.echo(message_text(answer, output))
    else:
        other = f"REVISION {revision}" if revision else "FILE"
        click.echo(_differences(answer, other))
    if exit_code and (answer.differences_total or answer.restart_differences):
        sys.exit(ExitCode.CONFLICT)


def _differences(answer: api.DiffConfigResponse, other: str) -> str:
    restart: list[Difference] = list(answer.restart_differences)
    total = answer.differences_total + len(restart)
    tables = [differences_text([*answer.differences, *restart], "RUNNING", other, total)]
    if restart:
        fields = ", ".join(one.field for one in restart)
        tables.append(f"until a restart nothing of the file is taken, because of {fields}")
    return "\n".join(tables)


@command.command("history")
@click.option(
    "-n", "--number", type=click.IntRange(min=1), default=20, show_default=True, metavar="COUNT",
    help="How many revisions.")
@format_option
@click.pass_obj
def list_revisions(address: str | None, number: int, output: str) -> None:
    """Show the latest revisions, newest first.

    Who made each, when and how, and what it changed.
    """
    listed = api.ListRevisionsResponse()
    request = api.ListRevisionsRequest()
    with connected(address) as channel:
        stub = ConfigServiceStub(channel)
        while True:
            request.page_size = min(number - len(listed.revisions), PAGE_SIZE)
            page = stub.ListRevisions(request, timeout=TIMEOUT_S)
            listed.revisions.extend(page.revisions)
            if not page.next_page_token or len(listed.revisions) >= number:
                break
            request.page_token = page.next_page_token
    if output != "table":
        click.echo(message_text(listed, output))
        return
    rows = [
        (one.number, moment_text(one.create_time), one.by, one.action, _state(one, at == 0),
         _changed(one))
        for at, one in enumerate(listed.revisions)
    ]
    head = ("REVISION", "TIME", "BY", "HOW", "STATE", "CHANGED")
    click.echo(table_text(head, rows, numbers=(0,), prose=True))


def _state(revision: Revision, newest: bool) -> str:
    runs = "runs" if newest else ""
    if not revision.rollback_revision:
        return runs
    if revision.HasField("confirm_time"):
        return f"{runs}, confirmed" if runs else "confirmed"
    return "unconfirmed" if newest else "not confirmed"


def _changed(revision: Revision) -> str:
    shown = [
        f"{one.resource} {one.field} {difference_words(one)}"
        for one in revision.differences[:DIFFERENCES_SHOWN]
    ]
    more = revision.differences_total - len(shown)
    return "; ".join([*shown, f"{more} more"] if more > 0 else shown)


command.add_command(check_config)
command.add_command(apply_config)
command.add_command(confirm_config)
command.add_command(rollback_config)
