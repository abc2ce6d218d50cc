"""A TLS listener's credentials, which change with their files while the daemon runs.

gRPC asks for each new connection whether there are new ones.  So no timer is needed, and who comes
first after a change meets the new files.
"""

import threading
import time

import grpc

from appliance.config.listening import Listening
from appliance.host.certificates import Pem, PemError, Signature, pem_read, pem_signature
from appliance.management.audit import AuditLog
from appliance.refusal import Refusal


class Certificates:
    def __init__(self, listening: Listening, log: AuditLog) -> None:
        """Raises Refusal where the files can't be used."""
        assert listening.tls is not None
        self._tls = listening.tls
        self._path = f"{listening.path}.tls"
        self._log = log
        # gRPC asks from threads of its own.
        self._reading = threading.Lock()
        self._refused = ""
        try:
            self._signature: Signature = pem_signature(self._tls)
            self._pem = pem_read(self._tls)
        except (PemError, OSError) as error:
            raise Refusal(f"{self._path}: {error}") from None

    def credentials(self) -> grpc.ServerCredentials:
        return grpc.dynamic_ssl_server_credentials(
            _configuration(self._pem), self._changed, require_client_authentication=True
        )

    def _changed(self) -> grpc.ServerCertificateConfiguration | None:
        """None where the former ones stay."""
        with self._reading:
            try:
                signature = pem_signature(self._tls)
                if signature == self._signature:
                    return None
                pem = pem_read(self._tls)
                if pem_signature(self._tls) != signature:
                    return None     # they are being written; the next connection asks again
                if worse := _worse(self._pem, pem):
                    raise PemError(worse)
            except (PemError, OSError) as error:
                self._refuse(str(error))
                return None
            self._tell(pem)
            self._signature, self._pem, self._refused = signature, pem, ""
            return _configuration(pem)

    def _refuse(self, reason: str) -> None:
        """Once for each reason."""
        if reason != self._refused:
            self._refused = reason
            self._log.event(
                "failed", {"by": "files", "method": "rotate", "resource": self._path,
                           "message": f"the former certificates stay: {reason}"},
            )

    def _tell(self, pem: Pem) -> None:
        before, after = self._pem.fingerprints(), pem.fingerprints()
        digests = {
            name: (before[name], after[name]) for name in after if before[name] != after[name]
        }
        self._log.event(
            "changed", {"by": "files", "method": "rotate", "resources": {self._path: digests}}
        )


def _worse(former: Pem, pem: Pem) -> list[tuple[str, str]]:
    """What doesn't count, of files in whose place others do: with them nobody would come in."""
    now_s, before = time.time(), former.validities()
    return [
        (name, str(validity.fault(now_s))) for name, validity in pem.validities().items()
        if before[name].holds(now_s) and not validity.holds(now_s)
    ]


def _configuration(pem: Pem) -> grpc.ServerCertificateConfiguration:
    return grpc.ssl_server_certificate_configuration(
        [(pem.key, pem.certificate)], root_certificates=pem.client_ca
    )
