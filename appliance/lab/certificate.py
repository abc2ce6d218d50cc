"""A certificate of the lab's own for its server's two addresses."""

from dataclasses import dataclass
from pathlib import Path

from appliance.lab.namespace import run_tool
from appliance.lab.topology import SERVER_IPV4, SERVER_IPV6


@dataclass(frozen=True)
class Certificate:
    """Signed by its own key, so a client that trusts `file` trusts the server."""

    file: Path
    key: Path


def make_certificate(directory: Path) -> Certificate:
    made = Certificate(directory / "certificate.pem", directory / "key.pem")
    run_tool(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=the lab's server",
         "-addext", f"subjectAltName=IP:{SERVER_IPV4},IP:{SERVER_IPV6}",
         "-out", str(made.file), "-keyout", str(made.key)])
    return made
