"""nginx in the server namespace, with a configuration and documents of its own.

It serves `/one`, a single byte, and `/large`, 100 MB of pseudorandom bytes, on PORT of both
families, and over TLS on TLS_PORT, there as HTTP/2 where the client has it (RFC 9113 §3.2).
Whoever runs in a page says what it has met as the arguments of `/report`, which are written down.
All its files lie in the lab's directory.
"""

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path

from appliance.lab.certificate import Certificate, make_certificate
from appliance.lab.listening import start_server
from appliance.lab.topology import Lab

PORT = 80
TLS_PORT = 7061
LARGE_BYTES = 100_000_000
LARGE_SEED = 1

CONFIGURATION = """\
daemon off;
user root;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/error.log;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    log_format report '$server_protocol $args';
    sendfile on;
    types {{ text/html html; }}
    default_type application/octet-stream;
    keepalive_requests 1000000;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    server {{
        listen {port} backlog=4096;
        listen [::]:{port} backlog=4096;
        root {directory}/documents;
    }}
    server {{
        listen {tls_port} ssl http2 backlog=4096;
        listen [::]:{tls_port} ssl http2 backlog=4096;
        ssl_certificate {certificate.file};
        ssl_certificate_key {certificate.key};
        root {directory}/documents;
        location = /report {{
            access_log {directory}/reports report;
            return 204;
        }}
    }}
}}
"""


@dataclass(frozen=True)
class Website:
    """What a client knows of it."""

    certificate: Certificate
    documents: Path
    reports: Path           # a line for each: protocol, then the arguments as they came

    def large_sha256(self, size_bytes: int = LARGE_BYTES) -> str:
        """Of so much of `large`."""
        with (self.documents / "large").open("rb") as large:
            return hashlib.sha256(large.read(size_bytes)).hexdigest()


def start_webserver(lab: Lab) -> Website:
    """Serve until the lab ends."""
    directory = lab.directory / "nginx"
    documents = directory / "documents"
    documents.mkdir(parents=True)
    (documents / "one").write_bytes(b"1")
    (documents / "large").write_bytes(random.Random(LARGE_SEED).randbytes(LARGE_BYTES))
    certificate = make_certificate(directory)
    configuration = directory / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(
        directory=directory, port=PORT, tls_port=TLS_PORT, certificate=certificate))
    start_server(lab, "nginx", ["nginx", "-e", "stderr", "-c", str(configuration)], PORT, TLS_PORT)
    return Website(certificate, documents, directory / "reports")
