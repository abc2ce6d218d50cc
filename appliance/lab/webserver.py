"""nginx in the server namespace, with a configuration and documents of its own.

It serves `/one`, a single byte, and `/large`, 100 MB of pseudorandom bytes, on port 80 of both
families.  All its files lie in the lab's directory.
"""

import hashlib
import random
from pathlib import Path

from appliance.lab.namespace import LabError
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

PORT = 80
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
    sendfile on;
    types {{ }}
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
}}
"""


def start_webserver(lab: Lab) -> str:
    """Serve until the lab ends; returns the SHA-256 of `/large`."""
    directory = lab.directory / "nginx"
    documents = directory / "documents"
    documents.mkdir(parents=True)
    (documents / "one").write_bytes(b"1")
    large = random.Random(LARGE_SEED).randbytes(LARGE_BYTES)
    (documents / "large").write_bytes(large)
    configuration = directory / "nginx.conf"
    configuration.write_text(CONFIGURATION.format(directory=directory, port=PORT))
    with (directory / "stderr").open("wb") as words:
        process = lab.start(lab.server, ["nginx", "-e", "stderr", "-c", str(configuration)],
                            stderr=words)
    until(lambda: process.poll() is not None or _is_listening(lab), seconds=10, what="nginx")
    if process.poll() is not None:
        raise LabError(f"nginx ended at once: {_last_words(directory)}")
    return hashlib.sha256(large).hexdigest()


def _is_listening(lab: Lab) -> bool:
    shown = lab.server.run(["ss", "-Hltn", f"sport = :{PORT}"]).stdout
    return len(shown.splitlines()) == 2


def _last_words(directory: Path) -> str:
    return (directory / "stderr").read_text().strip()
