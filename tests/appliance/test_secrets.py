"""No secret leaves the daemon: not in an answer, not in its log, not in a dump."""

import base64
import json
import shutil
import signal
import time
from urllib.request import urlopen

import grpc
import pytest
from synproxy.v1.services_service_pb2 import UpdateServiceRequest

from .daemon_process import two_cores
from .doors import free_port
from .methods import methods

# Python runs it in every process that finds it: the keys that the daemon draws, and at its end
# whether it may be dumped, are noted in a file beside it.
SITECUSTOMIZE = """\
import atexit, os, sys
from pathlib import Path

noted = Path(__file__).with_name("noted")
draw = os.urandom

def urandom(size):
    drawn = draw(size)
    with noted.open("a") as file:
        file.write(f"key {drawn.hex()}\\n")
    return drawn

def dumpable():
    from appliance.host.dumps import dumps_allowed
    with noted.open("a") as file:
        file.write(f"dumpable {dumps_allowed()}\\n")

if "run" in sys.argv:
    os.urandom = urandom
    atexit.register(dumpable)
"""
CALL_S = 10
STREAM_S = 1.5          # in which the stats are told again


@pytest.fixture
def noted(tmp_path):
    """What the daemon drew and was, by word; its environment."""
    folder = tmp_path / "noting"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(SITECUSTOMIZE)

    def read(word):
        lines = (folder / "noted").read_text().splitlines()
        return [line.split()[1] for line in lines if line.startswith(word)]

    return read, {"PYTHONPATH": str(folder)}


def with_listeners(config, folder, tls_files, port, metrics_port):
    listeners = [
        {"address": f"unix:{folder}/viewer.sock", "role": "VIEWER"},
        {"address": f"127.0.0.1:{port}", "tls": {
            "certificate_file": f"{tls_files}/daemon.pem", "key_file": f"{tls_files}/daemon.key",
            "client_ca_file": f"{tls_files}/callers-ca.pem",
            "roles": [{"name": "operator.example", "role": "OPERATOR"}],
        }},
    ]
    text = config.read_text()
    config.write_text(text.replace(
        "management: {",
        f"management: {{state_folder: {folder}/state, listeners: {json.dumps(listeners)},"
        f' metrics_address: "127.0.0.1:{metrics_port}", '))
    return config


def every_answer(address):
    """The bytes that each method answers, and those of each refusal."""
    answers = []
    with grpc.insecure_channel(address) as channel:
        for path, method in methods().items():
            for request in (b"", b"\x0a\x03web", b"\x08\x01", update()):
                answers += answered(channel, path, method.server_streaming, request)
    return answers


def answered(channel, path, streams, request):
    try:
        if not streams:
            yield channel.unary_unary(path)(request, timeout=CALL_S)
        elif request:
            yield next(channel.unary_stream(path)(request, timeout=CALL_S))
        else:
            yield from channel.unary_stream(path)(request, timeout=STREAM_S)
    except grpc.RpcError as error:
        yield str(error).encode()


def pages(port):
    """What is served over HTTP."""
    for path in ("", "metrics", "status.json"):
        with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=CALL_S) as page:
            yield page.read()


def update():
    request = UpdateServiceRequest()
    request.service.name = "web"
    request.service.options.mss = 1300
    return request.SerializeToString()


def forms(key):
    """How a key could stand in bytes or text."""
    halves = [int.from_bytes(key[at : at + 8], "little") for at in (0, 8)]
    return [
        key, key.hex().encode(), key[::-1].hex().encode(), base64.b64encode(key).rstrip(b"="),
        *(str(half).encode() for half in halves), *(f"{half:x}".encode() for half in halves),
    ]


@two_cores
def test_neither_keys_of_cookies_nor_of_tls_leave_it(
    configure, start, noted, tmp_path, tls_files, authority, other_authority
):
    read, environment = noted
    port, metrics_port = free_port(), free_port()
    config = with_listeners(configure(), tmp_path, tls_files, port, metrics_port)
    daemon = start(config, env=environment)
    assert f"unix:{tmp_path}/viewer.sock, 127.0.0.1:{port}" in daemon.said()
    by_all = daemon.address
    operator = authority.certificate("operator", "DNS:operator.example")
    as_operator = (
        "--tls-ca", str(authority.file), "--tls-cert", str(operator.file),
        "--tls-key", str(operator.key),
    )
    daemon.address = f"127.0.0.1:{port}"
    printed = daemon.synproxy(*as_operator, "service", "set", "web", "mss=1200", "-o", "json")
    # The viewer's first: the log takes ten lines a second of calls that change nothing, and one of
    # the admin's calls deletes the service.
    answers = every_answer(f"unix:{tmp_path}/viewer.sock")
    time.sleep(1)                       # in which the log has room for ten idle lines again
    answers += every_answer(by_all)
    answers += pages(metrics_port)
    keys_of_tls = [(tls_files / "daemon.key").read_bytes()]
    shutil.copy(other_authority.daemon_certificate().key, tls_files / "daemon.key")
    keys_of_tls.append((tls_files / "daemon.key").read_bytes())
    printed += daemon.synproxy(*as_operator, "stats", "-o", "json")
    assert daemon.stop(signal.SIGTERM) == 0
    assert {path.name for path in tmp_path.glob("*.sock")} == set()

    log = daemon.said()
    events = [json.loads(line) for line in log.splitlines() if line.startswith('{"audit":')]
    seen = {(event["audit"], event["by"]) for event in events}
    assert {("changed", "certificate operator.example"), ("failed", "files"),
            ("denied", f"unix:{tmp_path}/viewer.sock")} <= seen
    revisions = [path.read_bytes() for path in (tmp_path / "state").iterdir()]
    assert len(revisions) > 2
    everything = b"\n".join((*answers, *revisions, printed.encode(), log.encode()))
    keys = [bytes.fromhex(key) for key in read("key")]
    # The table's, the first secret of the cookies, and one for each call of RotateSecret.
    assert len([key for key in keys if len(key) == 16]) >= 6
    for key in keys:
        assert [form for form in forms(key) if form in everything] == []
    for key_of_tls in keys_of_tls:
        assert [line for line in key_of_tls.splitlines()[1:-1] if line in everything] == []
    assert read("dumpable") == ["False"]
