"""Whether the gRPC server can listen where the configuration wants it."""

import grp
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from synproxy.v1.config_pb2 import Tls

from appliance.config.listening import Listening
from appliance.exit_codes import ExitCode
from appliance.host.capabilities import CAP_CHOWN, has_capability
from appliance.host.certificates import PemError, pem_notices, pem_read
from appliance.refusal import Refusal


def listening_refusals(listening: Listening) -> Iterator[Refusal]:
    """A TCP port that is taken shows when it is bound."""
    if listening.socket:
        yield from _socket_refusals(Path(listening.socket), listening.field)
    if listening.group:
        yield from _group_refusals(listening.group, f"{listening.path}.group")
    if listening.tls:
        yield from _tls_refusals(listening.tls, f"{listening.path}.tls")


def listening_notices(listening: Listening) -> Iterator[str]:
    if listening.tls:
        for notice in pem_notices(listening.tls):
            yield f"{listening.path}.tls.{notice}"


def socket_answers(path: Path) -> bool:
    """False for the socket that a daemon which was killed left behind."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        except OSError:
            return True
    return True


def _socket_refusals(path: Path, where: str) -> Iterator[Refusal]:
    folder = path.parent
    try:
        is_there = folder.exists()
    except PermissionError:
        yield _denial(where, f"enter what {folder} lies in", "its owner")
        return
    if is_there and not folder.is_dir():
        yield Refusal(f"{where}: {folder} is no folder; choose another path")
    elif not is_there:
        yield Refusal(
            f"{where}: the folder {folder} doesn't exist; create it with"
            f" `mkdir -p {folder}` (RuntimeDirectory= of systemd)"
        )
    elif os.statvfs(folder).f_flag & os.ST_RDONLY:
        yield Refusal(
            f"{where}: {folder} is read-only; mount a tmpfs there (--tmpfs of Docker, emptyDir of"
            " Kubernetes), or choose another path"
        )
    elif not os.access(folder, os.W_OK | os.X_OK):
        yield _denial(where, f"write to {folder}", "its owner")
    elif path.exists() and not path.is_socket():
        yield Refusal(
            f"{where}: {path} exists and is no socket; choose another path, or move it away"
        )
    elif path.exists() and socket_answers(path):
        yield Refusal(
            f"{where}: another daemon listens at {path}; stop it, or choose another"
        )


def _group_refusals(group: str, where: str) -> Iterator[Refusal]:
    try:
        number = grp.getgrnam(group).gr_gid
    except KeyError:
        yield Refusal(
            f"{where}: there is no group {group}; create it with `groupadd --system {group}`"
        )
        return
    if number not in (os.getegid(), *os.getgroups()) and not has_capability(CAP_CHOWN):
        yield _denial(where, f"give a socket to the group {group}",
                      "root, or as a user that belongs to it")


def _denial(where: str, what: str, who: str) -> Refusal:
    return Refusal(f"{where}: no right to {what}; run as {who}", ExitCode.DENIED)


def _tls_refusals(tls: Tls, where: str) -> Iterator[Refusal]:
    try:
        pem_read(tls)
    except PemError as error:
        code = ExitCode.DENIED if error.denied else ExitCode.UNAVAILABLE
        for name, reason in error.reasons:
            yield Refusal(f"{where}.{name}: {reason}", code)
