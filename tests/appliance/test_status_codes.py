"""The status codes in the comments of proto/, held against those that the methods answer."""

import errno
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message_factory import GetMessageClass
from synproxy.v1.capture_service_pb2 import CaptureRequest
from synproxy.v1.capture_service_pb2_grpc import CaptureServiceStub
from synproxy.v1.config_pb2 import Config, Limits
from synproxy.v1.rule_pb2 import ROLE_VIEWER
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.config.listening import Listening
from appliance.management import bounds, catalogue, connections, recording
from appliance.state.folder import Folder, file_name

from .config_client import Client, service
from .conftest import SLOTS, Daemon
from .documented import PACKAGE, callers_codes, changes_codes, own_codes
from .doors import socket_of
from .methods import changing, code_of, methods

WEB = Service(name="web", prefixes=["192.0.2.0/24"], ports=["443"])
DNS = Service(name="dns", prefixes=["192.0.2.53"], ports=["53"])
FASTER = Service(name="web", options=ServiceOptions(mss=1300))
ENDS = {"client_address": "198.51.100.7", "client_port": 40000,
        "server_address": "192.0.2.7", "server_port": 443}
SOON_S = 0.05


@dataclass
class Stage:
    """A daemon with a folder of revisions, and a viewers' socket."""

    daemon: Daemon
    patch: pytest.MonkeyPatch
    state: Path
    held: list[Any]         # calls that last as long as the test

    @property
    def client(self) -> Client:
        return Client(self.daemon.channel)


@pytest.fixture
def stage(tmp_path, state, monkeypatch):
    listening = [Listening("viewers", socket_of(tmp_path, ROLE_VIEWER), ROLE_VIEWER)]
    with Daemon(tmp_path / "api.sock", listening, state) as daemon:
        yield Stage(daemon, monkeypatch, state, [])
        daemon.plane.stuck = False      # or what waits for its workers would outlast the daemon


# What has come before a call.

def nothing(stage):
    pass


def stuck(stage):
    for module, name in (
        (catalogue, "ACKNOWLEDGE_TIMEOUT_S"), (connections, "ACKNOWLEDGE_TIMEOUT_S"),
        (recording, "BEGIN_S"),
    ):
        stage.patch.setattr(module, name, SOON_S)
    stage.daemon.plane.stuck = True


def late(stage):
    stage.patch.setattr(bounds, "UNARY_DEADLINE_S", SOON_S)
    stage.daemon.plane.stuck = True


def no_memory(stage):
    stage.daemon.plane.failing = True


def failing_disk(number):
    def fail(*_):
        raise OSError(number, os.strerror(number))

    def disk_fails(stage):
        stage.patch.setattr(Folder, "append", fail)
        stage.patch.setattr(Folder, "write", fail)

    return disk_fails


full_disk, read_only_disk = failing_disk(errno.ENOSPC), failing_disk(errno.EROFS)


def damaged(stage):
    stage.client.set()
    (stage.state / file_name(1)).write_bytes(b"")


def file_gone(stage):
    stage.daemon.path.unlink()


def unconfirmed(stage):
    stage.client.apply([WEB], within_s=600)


def services_full(stage):
    for number in range(len(stage.client.running()), SLOTS):
        stage.daemon.call(stage.daemon.catalogue.create(service(f"s{number}", number)))


def seats_taken(stage):
    for method in bounds.STREAMS_MAX:
        stage.patch.setitem(bounds.STREAMS_MAX, method, 0)


def captured(stage):
    call = CaptureServiceStub(stage.daemon.channel).Capture(CaptureRequest())
    next(call)
    stage.held.append(call)


def deletions_full(stage):
    stage.daemon.plane.tickets_left = 0


Row = tuple[str, dict[str, Any], Callable[[Stage], None]]


def not_published(**request: Any) -> list[Row]:
    return [("RESOURCE_EXHAUSTED", request, no_memory), ("UNAVAILABLE", request, stuck)]


def not_kept(**request: Any) -> list[Row]:
    return [
        ("RESOURCE_EXHAUSTED", request, full_disk), ("UNAVAILABLE", request, read_only_disk),
        ("DEADLINE_EXCEEDED", request, late), *not_published(**request),
    ]


ROWS: dict[str, list[Row]] = {
    "CaptureService/Capture": [
        ("INVALID_ARGUMENT", {"prefix": "x"}, nothing),
        ("NOT_FOUND", {"service": "nope"}, nothing),
        ("RESOURCE_EXHAUSTED", {}, captured),
        ("RESOURCE_EXHAUSTED", {}, seats_taken),
        ("UNAVAILABLE", {}, stuck),
    ],
    "ConfigService/GetConfig": [
        ("NOT_FOUND", {"revision": 9}, nothing),
        ("DATA_LOSS", {"revision": 1}, damaged),
    ],
    "ConfigService/DiffConfig": [
        ("FAILED_PRECONDITION", {}, file_gone),
        ("NOT_FOUND", {"revision": 9}, nothing),
        ("DATA_LOSS", {"revision": 1}, damaged),
    ],
    "ConfigService/ApplyConfig": [
        ("INVALID_ARGUMENT", {"confirm_within": Duration()}, nothing),
        ("INVALID_ARGUMENT", {"config": Config(services=[FASTER])}, nothing),
        ("ABORTED", {"etag": "x"}, nothing),
        ("FAILED_PRECONDITION", {"config": Config(limits=Limits(half_open=64))}, nothing),
        ("FAILED_PRECONDITION", {"config": Config(services=[DNS])}, unconfirmed),
        ("RESOURCE_EXHAUSTED", {"config": Config(services=[DNS])}, services_full),
        *not_kept(config=Config(services=[DNS])),
    ],
    "ConfigService/ConfirmConfig": [
        ("FAILED_PRECONDITION", {}, nothing),
        ("ABORTED", {"revision": 1}, unconfirmed),
    ],
    "ConfigService/ListRevisions": [
        ("INVALID_ARGUMENT", {"page_size": -1}, nothing),
        ("INVALID_ARGUMENT", {"page_token": "x"}, nothing),
    ],
    "ConfigService/RollbackConfig": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("NOT_FOUND", {"revision": 9}, nothing),
        ("DATA_LOSS", {"revision": 1}, damaged),
        ("ABORTED", {"revision": 1, "etag": "x"}, nothing),
    ],
    "ConnectionsService/ListConnections": [
        ("INVALID_ARGUMENT", {"client_prefix": "x"}, nothing),
        ("NOT_FOUND", {"service": "nope"}, nothing),
    ],
    "ConnectionsService/DeleteConnection": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("NOT_FOUND", ENDS, nothing),
        ("RESOURCE_EXHAUSTED", ENDS, deletions_full),
        ("UNAVAILABLE", ENDS, stuck),
    ],
    "EventsService/WatchEvents": [
        ("INVALID_ARGUMENT", {"reasons": ["nope"]}, nothing),
        ("NOT_FOUND", {"service": "nope"}, nothing),
        ("RESOURCE_EXHAUSTED", {}, seats_taken),
    ],
    "ServersService/ListServers": [
        ("INVALID_ARGUMENT", {"page_token": "x"}, nothing),
        ("NOT_FOUND", {"service": "nope"}, nothing),
    ],
    "ServicesService/ListServices": [
        ("INVALID_ARGUMENT", {"page_size": -1}, nothing),
    ],
    "ServicesService/GetService": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("NOT_FOUND", {"name": "nope"}, nothing),
    ],
    "ServicesService/CreateService": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("ALREADY_EXISTS", {"service": WEB}, nothing),
        ("FAILED_PRECONDITION", {"service": DNS}, unconfirmed),
        ("RESOURCE_EXHAUSTED", {"service": DNS}, services_full),
        *not_kept(service=DNS),
    ],
    "ServicesService/UpdateService": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("NOT_FOUND", {"service": Service(name="nope")}, nothing),
        ("ABORTED", {"service": Service(name="web", etag="x")}, nothing),
        ("FAILED_PRECONDITION", {"service": FASTER}, unconfirmed),
        *not_kept(service=FASTER),
    ],
    "ServicesService/DeleteService": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("NOT_FOUND", {"name": "nope"}, nothing),
        ("ABORTED", {"name": "web", "etag": "x"}, nothing),
        ("FAILED_PRECONDITION", {"name": "web"}, unconfirmed),
        *not_kept(name="web"),
    ],
    "ServicesService/WatchServices": [
        ("RESOURCE_EXHAUSTED", {}, seats_taken),
    ],
    "StatsService/GetStats": [
        ("INVALID_ARGUMENT", {"rates_over": Duration(seconds=11)}, nothing),
        ("NOT_FOUND", {"services": ["nope"]}, nothing),
    ],
    "StatsService/WatchStats": [
        ("INVALID_ARGUMENT", {"interval": Duration(seconds=3601)}, nothing),
        ("NOT_FOUND", {"services": ["nope"]}, nothing),
        ("RESOURCE_EXHAUSTED", {}, seats_taken),
    ],
    "SystemService/GetSystem": [],
    "SystemService/ListPorts": [],
    "SystemService/ListWorkers": [],
    "SystemService/ListMempools": [],
    "SystemService/GetDrain": [],
    "SystemService/Drain": [("INVALID_ARGUMENT", {"policy": 7}, nothing), *not_published()],
    "SystemService/Undrain": not_published(),
    "SystemService/RotateSecret": not_published(),
    "SystemService/SetLogLevel": [
        ("INVALID_ARGUMENT", {}, nothing),
        ("INVALID_ARGUMENT", {"daemon": "loud"}, nothing),
    ],
}


def answered(method):
    return {code for code, _, _ in ROWS[method]}


@pytest.mark.parametrize(("method", "code", "request_", "situation"), [
    pytest.param(method, *row, id=f"{method} {row[0]} {row[2].__name__}")
    for method, rows in ROWS.items() for row in rows])
def test_a_method_answers_it(stage, method, code, request_, situation):
    descriptor = methods()[PACKAGE + method]
    body = GetMessageClass(descriptor.input_type)(**request_).SerializeToString()
    situation(stage)
    ended = code_of(stage.daemon.channel, PACKAGE + method, descriptor.server_streaming, body)
    assert ended is grpc.StatusCode[code]


def test_each_method_has_its_rows():
    assert {PACKAGE + method for method in ROWS} == set(methods())


@pytest.mark.parametrize("method", ROWS)
def test_what_it_answers_stands_in_its_comment_or_in_that_of_all_changes(method):
    assert answered(method) - own_codes(method) - changes_codes(method) == set()


@pytest.mark.parametrize("method", ROWS)
def test_what_stands_in_its_comment_is_answered(method):
    assert own_codes(method) - answered(method) == set()


@pytest.mark.parametrize("service", sorted({method.partition("/")[0] for method in ROWS}))
def test_what_stands_in_the_comment_of_all_changes_is_answered_by_one_of_them(service):
    of_it = [method for method in ROWS if method.startswith(f"{service}/")]
    named = set().union(*map(changes_codes, of_it))
    assert named - set().union(*(answered(one) for one in of_it if changes_codes(one))) == set()


def test_what_any_method_answers_stands_in_the_comment_about_callers(stage, tmp_path):
    """Which no method's says again."""
    found = set()
    with grpc.insecure_channel(socket_of(tmp_path, ROLE_VIEWER)) as viewer:
        for path, method in methods().items():
            streams = method.server_streaming
            found |= {
                code_of(stage.daemon.channel, path, streams, b"\x0a\xff"),
                code_of(viewer, path, streams, bytes(bounds.REQUEST_BYTES_MAX + 1)),
            }
            if path in changing():
                found.add(code_of(viewer, path, streams))
    late(stage)
    found.add(code_of(stage.daemon.channel, f"{PACKAGE}SystemService/Drain", False))
    assert {code.name for code in found} == callers_codes()
