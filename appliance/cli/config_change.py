"""synproxy config check | apply | confirm | rollback."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub

from appliance.cli.connection import CHANGE_TIMEOUT_S, HISTORY, connected
from appliance.cli.differences import differences_text
from appliance.cli.duration_value import duration_value
from appliance.cli.output import applied_text, format_option, message_text
from appliance.config.duration import duration_ns, duration_text
from appliance.exit_codes import ExitCode

_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.option(
        "--confirm-within", callback=duration_value, metavar="DURATION",
        help="Roll back by itself unless `config confirm` is called in this time, such as 60s."),
    click.option(
        "--etag", default="", metavar="ETAG",
        help="Only while what runs has this etag (see `config show -o json`)."),
    click.option("--validate-only", is_flag=True, help="Check and show, change nothing."),
    format_option,
    click.pass_obj,
)


def _with_options(function: Any) -> Any:
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


_FILE = click.argument("file", type=click.Path(readable=False, path_type=Path))


@click.command("check")
@_FILE
def check_config(file: Path) -> None:
    """Check a configuration file, as `synproxyd check` does.

    The daemon is not asked: `config apply --validate-only` says what it would change. Exit code 5
    where anything in it is wrong.
    """
    from appliance.config_given import config_given, config_summary

    click.echo(config_summary(file, config_given(file, "synproxy")))


@click.command("apply")
@_FILE
@_with_options
def apply_config(
    address: str | None, file: Path, confirm_within: Duration | None, etag: str,
    validate_only: bool, output: str,
) -> None:
    """Run a file's services and defaults, all at once.

    What else is in the file must be as it runs. Connections go on untouched. The daemon's own file
    stays as it is.
    """
    # Its rules are the data plane's in part, which other commands start without.
    from appliance.config_given import config_given
    from appliance.management.bounds import APPLY_BYTES_MAX, MIB

    request = api.ApplyConfigRequest(
        config=config_given(file, "synproxy"), etag=etag, validate_only=validate_only,
        confirm_within=confirm_within)
    # Which aliases alone bring about.
    if request.ByteSize() > APPLY_BYTES_MAX:
        click.echo(
            f"synproxy: {file}: makes a request of {request.ByteSize()} bytes, and a listener takes"
            f" {APPLY_BYTES_MAX // MIB} MiB; put it in the place of the daemon's own file, which is"
            " read again", err=True)
        sys.exit(ExitCode.INVALID)
    with connected(address, about=str(file), told_by=HISTORY) as channel:
        answer = ConfigServiceStub(channel).ApplyConfig(request, timeout=CHANGE_TIMEOUT_S)
    click.echo(_text(answer, output))


@click.command("rollback")
@click.argument("revision", type=click.IntRange(min=1))
@_with_options
def rollback_config(
    address: str | None, revision: int, confirm_within: Duration | None, etag: str,
    validate_only: bool, output: str,
) -> None:
    """Run what a former revision was, as a new one.

    `config history` has the numbers, `config diff --revision` what would change.
    """
    request = api.RollbackConfigRequest(
        revision=revision, etag=etag, validate_only=validate_only, confirm_within=confirm_within)
    with connected(address, told_by=HISTORY) as channel:
        answer = ConfigServiceStub(channel).RollbackConfig(request, timeout=CHANGE_TIMEOUT_S)
    click.echo(_text(answer, output))


@click.command("confirm")
@click.argument("revision", type=click.IntRange(min=1), required=False)
@format_option
@click.pass_obj
def confirm_config(address: str | None, revision: int | None, output: str) -> None:
    """Keep the revision that waits for a confirmation.

    REVISION makes sure that it is the one meant.
    """
    with connected(address, told_by=HISTORY) as channel:
        answer = ConfigServiceStub(channel).ConfirmConfig(
            api.ConfirmConfigRequest(revision=revision or 0), timeout=CHANGE_TIMEOUT_S)
    click.echo(
        message_text(answer, output) if output != "table"
        else f"revision {answer.revision.number} is confirmed")


def _text(answer: api.ApplyConfigResponse | api.RollbackConfigResponse, output: str) -> str:
    if output != "table":
        return message_text(answer, output)
    lines = [differences_text(answer.differences, "BEFORE", "AFTER", answer.differences_total)]
    if not answer.generation:
        lines.append("nothing was changed")
        return "\n".join(lines)
    number = answer.revision.number
    lines.append(f"revision {number}: {applied_text(answer.generation, answer.apply_time)}")
    if answer.revision.HasField("confirm_within"):
        within = duration_text(duration_ns(answer.revision.confirm_within))
        lines.append(f"`synproxy config confirm {number}` within {within}, or revision"
                     f" {answer.revision.rollback_revision} comes back")
    return "\n".join(lines)
