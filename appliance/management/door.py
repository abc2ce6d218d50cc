"""One listener: a gRPC server with its guard, its bounds, and its socket."""

import grp
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import grpc

from appliance.config.listening import Listening
from appliance.host.listening import socket_answers
from appliance.management.audit import AuditLog
from appliance.management.bounds import CALLS_MAX, server_options
from appliance.management.certificates import Certificates
from appliance.management.cutting import calls_cuttable
from appliance.management.guard import Guard
from appliance.refusal import Refusal

# Calls in progress may take that long to end when the daemon stops.
GRACE_S = 1.0
GROUP_MODE = 0o660


class Door:
    def __init__(self, listening: Listening, log: AuditLog) -> None:
        self._listening = listening
        self._log = log
        self._socket = ""    # the path of the Unix socket, once it is ours
        self.server = grpc.aio.server(
            interceptors=(Guard(listening, log),),
            maximum_concurrent_rpcs=CALLS_MAX,
            options=server_options(listening),
        )

    async def open(self) -> None:
        """Raises Refusal where the address can't be had."""
        if self._listening.tls:
            credentials = Certificates(self._listening, self._log).credentials()
            self._bind(self.server.add_secure_port, credentials)
        elif self._listening.socket:
            self._bind_socket(self._listening.socket)
        else:
            self._bind(self.server.add_insecure_port)
        calls_cuttable()
        await self.server.start()

    async def close(self) -> None:
        """Leaves no socket behind."""
        await self.server.stop(GRACE_S)
        if self._socket:
            with suppress(FileNotFoundError):
                os.unlink(self._socket)

    def _bind(self, add_port: Callable[..., int], *credentials: grpc.ServerCredentials) -> None:
        try:
            add_port(self._listening.address, *credentials)
        except RuntimeError:
            raise self._refusal("it is in use or not ours") from None

    def _bind_socket(self, path: str) -> None:
        """The file is the owner's alone from the moment it is there, and opens to its group once
        it belongs to it: nobody else can come in between.  gRPC listens as soon as it binds, and
        would take the place of any socket, so that one in use is looked for just before."""
        if socket_answers(Path(path)):
            raise self._refusal("another daemon listens there")
        former = os.umask(0o177)
        try:
            self._bind(self.server.add_insecure_port)
        finally:
            os.umask(former)
        self._socket = path
        if self._listening.group:
            try:
                os.chown(path, -1, grp.getgrnam(self._listening.group).gr_gid)
                os.chmod(path, GROUP_MODE)
            except (OSError, KeyError):
                raise self._refusal(f"it can't be given to {self._listening.group}") from None

    def _refusal(self, reason: str) -> Refusal:
        where, address = self._listening.field, self._listening.address
        return Refusal(f"{where}: can't listen at {address}; {reason}")
