"""A channel to the daemon, and what its refusals mean to a script."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import click
import grpc
from google.rpc.error_details_pb2 import BadRequest
from grpc_status import rpc_status
from synproxy.v1.config_pb2 import Management

from appliance.cli import TLS_FILES
from appliance.cli.socket_rights import socket_denial
from appliance.config.schema import rule_of
from appliance.exit_codes import ExitCode

# Of a call that only looks.
TIMEOUT_S = 10.0
# Of one that changes something: longer than the daemon gives a call, so that its answer is heard.
CHANGE_TIMEOUT_S = 35.0
# The command that tells of every change to services.
HISTORY = "synproxy config history"

_OPTIONS = (
    # The daemon is on this host or its net; a proxy of the environment is not meant for it.
    ("grpc.enable_http_proxy", 0),
    # The answer about thousands of services is longer than gRPC's default bound of 4 MiB; the
    # daemon has a bound of its own.
    ("grpc.max_receive_message_length", -1),
)

_ADDRESS = re.compile(r"unix:/.+|[^/\s]+:(?P<port>[0-9]{1,9})")
_PORT_MAX = 65535

# How gRPC's own words begin where there is no connection, and how they end where the other end
# closed it before it said anything; not in TLS's handshake, of which they say so.
_UNCONNECTED = ("failed to connect", "errors resolving")
_CLOSED = (": Socket closed", "recvmsg:Connection reset by peer (104)")
# And what the daemon's end says of a request that is longer than its listener takes.
_TOO_LONG = re.compile(r"SERVER: Received message larger than max \(([0-9]+) vs\. ([0-9]+)\)")

CODES = {
    grpc.StatusCode.NOT_FOUND: ExitCode.NOT_FOUND,
    grpc.StatusCode.ALREADY_EXISTS: ExitCode.CONFLICT,
    grpc.StatusCode.ABORTED: ExitCode.CONFLICT,
    grpc.StatusCode.FAILED_PRECONDITION: ExitCode.CONFLICT,
    grpc.StatusCode.INVALID_ARGUMENT: ExitCode.INVALID,
    grpc.StatusCode.OUT_OF_RANGE: ExitCode.INVALID,
    grpc.StatusCode.UNAVAILABLE: ExitCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ExitCode.UNAVAILABLE,
    grpc.StatusCode.PERMISSION_DENIED: ExitCode.DENIED,
    grpc.StatusCode.UNAUTHENTICATED: ExitCode.DENIED,
}


def default_address() -> str:
    return rule_of(Management.DESCRIPTOR.fields_by_name["address"]).default


@contextmanager
def connected(
    address: str | None, options: Sequence[tuple[str, int]] = (), about: str = "",
    codes: Mapping[grpc.StatusCode, ExitCode] = CODES, told_by: str = "",
) -> Iterator[grpc.Channel]:
    """Ends the program with lines on stderr and its exit code where a call fails.  `options` are
    gRPC's, of the channel; each line of the daemon's begins with what it is `about`; `codes` say
    how its refusals end; `told_by` is the command that tells whether a change was made, where the
    daemon doesn't answer in time."""
    address = address or default_address()
    _check_address(address)
    credentials = None if address.startswith("unix:") else _credentials()
    with (
        grpc.secure_channel(address, credentials, (*_OPTIONS, *options)) if credentials
        else grpc.insecure_channel(address, (*_OPTIONS, *options))
    ) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            fail(error, address, credentials is not None, about, codes, told_by)


def _check_address(address: str) -> None:
    said = _ADDRESS.fullmatch(address)
    if not said:
        raise click.UsageError(f"--address must be unix:/path or host:port, not {address}")
    port = said["port"]
    if port and not 1 <= int(port) <= _PORT_MAX:
        raise click.UsageError(f"the port of --address must be 1..{_PORT_MAX}, not {port}")


def fail(
    error: grpc.RpcError, address: str, tls: bool = False, about: str = "",
    codes: Mapping[grpc.StatusCode, ExitCode] = CODES, told_by: str = "",
) -> NoReturn:
    details = str(error.details())
    # The channel's own words; UNAVAILABLE may also be the daemon's answer.
    if details.startswith(_UNCONNECTED):
        code, line = _unconnected(details, address, tls)
        lines = [line]
    else:
        code = codes.get(error.code(), ExitCode.FAILED)
        said = _field_lines(error) or _plain(details).splitlines() or [details]
        if told_by and error.code() is grpc.StatusCode.DEADLINE_EXCEEDED:
            said.append(f"what was asked for may be done all the same; `{told_by}` tells")
        lines = [f"{about}: {line}" if about else line for line in said]
    for line in lines:
        click.echo(f"synproxy: {line}", err=True)
    sys.exit(code)


def _unconnected(details: str, address: str, tls: bool) -> tuple[ExitCode, str]:
    """Why there is no connection, as far as its end on this side can tell."""
    path = address.removeprefix("unix:")
    if path != address and (denial := socket_denial(path)):
        return ExitCode.DENIED, denial
    if "CERTIFICATE_VERIFY_FAILED" in details or "Hostname Verification" in details:
        return ExitCode.DENIED, (
            f"the certificate at {address} isn't one of --tls-ca for this address, or has expired"
        )
    closed = details.endswith(_CLOSED)
    # In TLS 1.3 our end is done before the other one looks at our certificate.
    if tls and closed:
        return ExitCode.DENIED, (
            f"{address} doesn't take the certificate of --tls-cert; its authority must be among"
            " the daemon's (client_ca_file), and it must not have expired"
        )
    hint = ", with TLS (--tls-ca, --tls-cert, --tls-key)" if closed and path == address else ""
    return ExitCode.UNAVAILABLE, f"no answer at {address}; is synproxyd running there{hint}?"


def _credentials() -> grpc.ChannelCredentials | None:
    """Of the --tls options; None where none is given."""
    # Needed where there are files alone, and not for a quick answer at a socket.
    from appliance.host.certificates import holds_authority, pair_misfit

    files = click.get_current_context().meta.get(TLS_FILES, ())
    if not any(files):
        return None
    if not all(files):
        raise click.UsageError("--tls-ca, --tls-cert and --tls-key go together")
    ca, certificate, key = map(_content, files)
    # gRPC ends the process over what is no certificate.
    reason = pair_misfit(files[1], files[2])
    if reason is None and not holds_authority(ca):
        reason = f"{files[0]} holds no certificate of an authority"
    if reason:
        click.echo(f"synproxy: {reason}", err=True)
        sys.exit(ExitCode.INVALID)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _content(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        click.echo(f"synproxy: {path}: can't be read: {error.strerror}", err=True)
        denied = isinstance(error, PermissionError)
        sys.exit(ExitCode.DENIED if denied else ExitCode.FAILED)


def _plain(details: str) -> str:
    """In our words, where they are gRPC's."""
    too_long = _TOO_LONG.fullmatch(details)
    if not too_long:
        return details
    return (f"a request of {too_long[1]} bytes is too long for this listener, which takes"
            f" {too_long[2]}; those for operators and admins take the most")


def _field_lines(error: grpc.RpcError) -> list[str]:
    """One line for each field that is wrong."""
    status = rpc_status.from_call(error)
    lines = []
    for detail in status.details if status else ():
        request = BadRequest()
        if detail.Unpack(request):
            lines += [f"{field.field}: {field.description}" for field in request.field_violations]
    return lines
