"""A channel to the daemon, and what its refusals mean to a script."""

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click
import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from synproxy.v1.config_pb2 import Management

from appliance.config.schema import rule_of
from appliance.exit_codes import ExitCode

# Longer than the daemon's own wait for its workers, so that its answer is the one heard.
TIMEOUT_S = 10.0

_OPTIONS = (
    # The daemon is on this host; a proxy of the environment is not meant for it.
    ("grpc.enable_http_proxy", 0),
    # The answer about thousands of services is longer than gRPC's default bound of 4 MiB.
    ("grpc.max_receive_message_length", -1),
)

_ADDRESS = re.compile(r"unix:/.+|[^/\s]+:[0-9]{1,5}")

_CODES = {
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
    grpc.StatusCode.ABORTED: ExitCode.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.CONFLICT,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.INVALID,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.DENIED,
}


def default_address() -> str:
    return rule_of(Management.DESCRIPTOR.fields_by_name["address"]).default


@contextmanager
def connected(address: str | None) -> Iterator[grpc.Channel]:
    """Ends the program with a line on stderr and its exit code where a call fails."""
    address = address or default_address()
    if not _ADDRESS.fullmatch(address):
        raise click.UsageError(
            f"--address must be unix:/path or host:port, not {address}"
        )
    with grpc.insecure_channel(address, _OPTIONS) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            fail(error, address)


def fail(error: grpc.RpcError, address: str) -> NoReturn:
    code = _CODES.get(error.code(), ExitCode.FAILED)
    # The channel's own words; UNAVAILABLE may also be the daemon's answer.
    if str(error.details()).startswith(("failed to connect", "errors resolving")):
        path = address.removeprefix("unix:")
        if path != address and os.path.exists(path) and not os.access(path, os.W_OK):
            code, lines = ExitCode.DENIED, [f"no right to use {path}"]
        else:
            lines = [f"no answer at {address}; is synproxyd running there?"]
    else:
        lines = _field_lines(error) or [str(error.details())]
    for line in lines:
        click.echo(f"synproxy: {line}", err=True)
    sys.exit(code)


def _field_lines(error: grpc.RpcError) -> list[str]:
    """One line for each field that is wrong."""
    status = rpc_status.from_call(error)
    lines = []
    for detail in status.details if status else ():
        request = BadRequest()
        if detail.Unpack(request):
            lines += [f"{field.field}: {field.description}" for field in request.field_violations]
    return lines
