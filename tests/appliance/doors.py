"""The ways in that a daemon of the tests has: a socket for each role, and TLS with names."""

import os
import shutil
import socket
from pathlib import Path

import grpc
from synproxy.v1.config_pb2 import NamedRole, Tls
from synproxy.v1.rule_pb2 import ROLE_ADMIN, ROLE_OPERATOR, ROLE_UNSPECIFIED, ROLE_VIEWER, Role

from appliance.config.listening import Listening

from .certificates import Authority, Certificate

ROLES = (ROLE_VIEWER, ROLE_OPERATOR, ROLE_ADMIN)
NAMES = {
    "viewer.example": ROLE_VIEWER, "10.0.0.9": ROLE_VIEWER, "only a common name": ROLE_VIEWER,
    "operator.example": ROLE_OPERATOR, "spiffe://example/ci": ROLE_OPERATOR,
    "admin.example": ROLE_ADMIN,
}


def socket_of(folder: Path, role: Role) -> str:
    return f"unix:{folder}/{role}.sock"


def all_listening(folder: Path, files: Path) -> list[Listening]:
    """One socket for each role in `folder`; the last listens with the TLS files in `files`."""
    tls = Tls(
        certificate_file=str(files / "daemon.pem"), key_file=str(files / "daemon.key"),
        client_ca_file=str(files / "callers-ca.pem"),
        roles=[NamedRole(name=name, role=role) for name, role in NAMES.items()],
    )
    return [
        *(
            Listening(f"management.listeners[{index}]", socket_of(folder, role), role)
            for index, role in enumerate(ROLES)
        ),
        Listening("management.listeners[3]", f"127.0.0.1:{free_port()}", ROLE_UNSPECIFIED, tls=tls),
    ]


def install(folder: Path, certificate: Certificate, authority: Authority) -> None:
    """As a tool that renews certificates does: each file at once."""
    for source, name in (
        (certificate.file, "daemon.pem"), (certificate.key, "daemon.key"),
        (authority.file, "callers-ca.pem"),
    ):
        shutil.copy(source, folder / f"{name}.new")
        os.replace(folder / f"{name}.new", folder / name)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def channel_with(address: str, authority: Authority, certificate: Certificate) -> grpc.Channel:
    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(
            authority.file.read_bytes(), certificate.key.read_bytes(),
            certificate.file.read_bytes(),
        ),
        # Else gRPC would hand out a connection that another test has opened.
        (("grpc.use_local_subchannel_pool", 1),),
    )
