"""One line for each change: who, what, from what to what, and how it ended."""

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.json_format import ParseDict
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.rule_pb2 import ROLE_OPERATOR, ROLE_VIEWER
from synproxy.v1.service_pb2 import Service, ServiceOptions, Timeouts
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.config.duration import duration_parse
from appliance.config.listening import Listening
from appliance.management import audit, catalogue
from appliance.management.changes import (
    change_note,
    changes_begin,
    fields_changed,
    fields_set,
)

from .conftest import Daemon
from .methods import changing, methods
from .test_connections import ONE, WHERE

CALL_S = 10
METHOD = "synproxy.v1.ServicesService/UpdateService"


def update(channel, options=None, paths=None, timeout=CALL_S, **request):
    return ServicesServiceStub(channel).UpdateService(
        api.UpdateServiceRequest(
            service=Service(name=request.pop("name", "web"), options=options),
            update_mask=FieldMask(paths=paths or []), **request,
        ),
        timeout=timeout,
    )


def test_a_value_that_has_no_name_is_told_by_its_number(daemon):
    """The number is a caller's; the call is refused, and leaves its line all the same."""
    with pytest.raises(grpc.RpcError) as refused:
        update(daemon.channel, ServiceOptions(activation=99))  # type: ignore[arg-type]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (line,) = daemon.lines(1)
    assert line["code"] == "INVALID_ARGUMENT"
    assert "99" in json.dumps(line)


def test_a_change_leaves_one_line_with_who_and_what(daemon):
    options = ServiceOptions(
        mss=1300, sack=False, timeouts=Timeouts(closed=duration_parse("90s")))
    update(daemon.channel, options)
    (line,) = daemon.lines(1)
    ended = datetime.fromisoformat(line.pop("time"))
    assert abs((datetime.now(UTC) - ended).total_seconds()) < 60
    assert 0 < line.pop("took_ms") < 1000 * CALL_S
    assert line == {
        "audit": "changed", "role": "admin", "by": daemon.address, "method": METHOD,
        "resources": {"services/web": {
            "options.mss": ["1400", "1300"], "options.sack": [None, "false"],
            "options.timeouts.closed": [None, "1m30s"],
        }},
        "code": "OK",
    }


# By method: what of it changes something, one behind the other.
CHANGES: dict[str, dict[str, Any]] = {
    "ServicesService/UpdateService": {"service": {"name": "web", "options": {"mss": 1300}}},
    "ServicesService/CreateService": {"service": {
        "name": "dns", "prefixes": ["192.0.2.53"], "ports": ["53"]}},
    "ServicesService/DeleteService": {"name": "mail"},
    "ConfigService/ApplyConfig": {
        "config": {"services": [{"name": "web", "prefixes": ["192.0.2.1"], "ports": ["80"]}]},
        "confirm_within": "60s"},
    "ConfigService/ConfirmConfig": {},
    "ConfigService/RollbackConfig": {"revision": 1},
    "ConnectionsService/DeleteConnection": WHERE,
    "SystemService/Drain": {"policy": "DRAIN_POLICY_BRIDGE"},
    "SystemService/Undrain": {},
    "SystemService/RotateSecret": {},
    "SystemService/SetLogLevel": {"dpdk": "error"},
}


def test_every_method_that_changes_something_leaves_its_line(daemon):
    daemon.plane.entries = [ONE]
    asked = {f"/synproxy.v1.{name}": fields for name, fields in CHANGES.items()}
    for path, fields in asked.items():
        request = message_factory.GetMessageClass(methods()[path].input_type)()
        body = ParseDict(fields, request).SerializeToString()
        daemon.channel.unary_unary(path)(body, timeout=CALL_S)
    assert [(line["audit"], f"/{line['method']}") for line in daemon.lines(len(asked))] == [
        ("changed", path) for path in asked]
    assert set(asked) == changing()


def test_of_many_at_a_time_each_has_its_own_line(daemon):
    def one(number):
        return update(daemon.channel, ServiceOptions(mss=600 + number))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    changed = [line["resources"]["services/web"]["options.mss"] for line in daemon.lines(40)]
    assert sorted(after for _, after in changed) == [str(600 + number) for number in range(40)]
    assert [before for before, _ in changed] == ["1400", *(after for _, after in changed[:-1])]


def test_what_is_reset_is_null_afterwards(daemon):
    update(daemon.channel, paths=["options.mss"])
    assert daemon.lines(1)[0]["resources"] == {"services/web": {"options.mss": ["1400", None]}}


def test_looking_leaves_no_line(daemon):
    stub = ServicesServiceStub(daemon.channel)
    stub.ListServices(api.ListServicesRequest(), timeout=CALL_S)
    with pytest.raises(grpc.RpcError):
        stub.GetService(api.GetServiceRequest(name="nope"), timeout=CALL_S)
    update(daemon.channel, ServiceOptions(mss=1300))
    assert [line["method"] for line in daemon.lines(1)] == [METHOD]


def test_a_call_that_changes_nothing_says_what_it_asked_for(daemon):
    update(daemon.channel, ServiceOptions(mss=1300), validate_only=True)
    update(daemon.channel, ServiceOptions(mss=1400))
    validated, idle = daemon.lines(2)
    assert (validated["audit"], idle["audit"]) == ("called", "called")
    assert validated["request"] == {
        "service.name": "web", "service.options.mss": "1300", "validate_only": "true",
    }


def test_a_failure_has_its_code_and_message(daemon):
    for options, name in ((ServiceOptions(mss=1), "web"), (None, "nope")):
        with pytest.raises(grpc.RpcError):
            update(daemon.channel, options, name=name)
    invalid, unknown = daemon.lines(2)
    assert (invalid["audit"], invalid["code"]) == ("failed", "INVALID_ARGUMENT")
    assert "service.options.mss: must be 536..8960 bytes" in invalid["message"]
    assert (unknown["code"], unknown["message"]) == ("NOT_FOUND", "no service is called nope")


def test_a_change_that_is_published_is_told_however_the_call_ends(daemon, monkeypatch):
    daemon.plane.stuck = True
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, ServiceOptions(mss=1300), timeout=0.2)
    daemon.lines(1)
    daemon.plane.stuck = False
    update(daemon.channel, ServiceOptions(mss=1200))
    monkeypatch.setattr(catalogue, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    daemon.plane.stuck = True
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, ServiceOptions(mss=1100))
    lines = daemon.lines(3)
    assert [(line["audit"], line["code"]) for line in lines] == [
        ("changed", "CANCELLED"), ("changed", "OK"), ("changed", "UNAVAILABLE"),
    ]
    assert [line["resources"]["services/web"]["options.mss"] for line in lines] == [
        ["1400", "1300"], ["1300", "1200"], ["1200", "1100"],
    ]


def test_one_that_the_data_plane_refuses_is_no_change(daemon):
    daemon.plane.failing = True
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, ServiceOptions(mss=1300))
    assert [(line["audit"], line["code"]) for line in daemon.lines(1)] == [
        ("failed", "RESOURCE_EXHAUSTED")]


def test_a_denial_is_told_with_whom_was_seen(tmp_path):
    listening = [Listening("m", f"unix:{tmp_path}/viewer.sock", ROLE_VIEWER)]
    with (
        Daemon(tmp_path / "api.sock", listening) as daemon,
        grpc.insecure_channel(listening[0].address) as channel,
    ):
        with pytest.raises(grpc.RpcError):
            update(channel, ServiceOptions(mss=1300))
        (line,) = daemon.lines(1)
    assert (line["audit"], line["role"], line["by"]) == (
        "denied", "viewer", listening[0].address)
    assert (line["code"], line["method"]) == ("PERMISSION_DENIED", METHOD)
    assert "request" not in line


def test_callers_without_rights_cannot_fill_the_log_and_changes_are_told_all_the_same(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(audit, "IDLE_LINES_PER_S", 3)
    now = [1000.0]
    monkeypatch.setattr("appliance.management.audit.time.monotonic", lambda: now[0])
    listening = [
        Listening("m", f"unix:{tmp_path}/viewer.sock", ROLE_VIEWER),
        Listening("m", f"unix:{tmp_path}/operator.sock", ROLE_OPERATOR),
    ]
    with (
        Daemon(tmp_path / "api.sock", listening) as daemon,
        grpc.insecure_channel(listening[0].address) as viewer,
        grpc.insecure_channel(listening[1].address) as operator,
    ):
        for _ in range(20):
            with pytest.raises(grpc.RpcError):
                update(viewer)
        for mss in range(600, 605):
            update(operator, ServiceOptions(mss=mss))
        daemon.lines(8)
        now[0] += 1
        with pytest.raises(grpc.RpcError):
            update(viewer)
        told = daemon.lines(9)
    assert [line["audit"] for line in told] == ["denied"] * 3 + ["changed"] * 5 + ["denied"]
    assert told[-1]["unlogged"] == 17


def test_nothing_that_a_caller_says_leaves_its_line_or_its_field(daemon):
    name = 'x"}\n{"audit": "changed", "by": "somebody else"}\x1b[2J\u2028'
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, name=name)
    (line,) = daemon.lines(1)
    assert line["request"]["service.name"] == name
    assert daemon.logged[0].isascii()
    assert daemon.logged[0].isprintable()


def test_a_long_request_makes_no_long_line(daemon):
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, name="x" * 1_000_000)
    with pytest.raises(grpc.RpcError):
        update(daemon.channel, paths=["y" * 1000] * 1000)
    daemon.lines(2)
    assert max(map(len, daemon.logged)) < 2000


def test_a_change_of_very_much_names_some_and_counts_the_rest():
    changes = changes_begin("file f", "reload: SIGHUP")
    for number in range(60):
        change_note(f"services/s{number}", {"options.mss": (None, "1300")})
    lines: list[str] = []
    audit.AuditLog(lines.append).own(changes)
    line = json.loads(lines[0])
    assert (line["audit"], line["by"], line["method"]) == (
        "changed", "file f", "reload: SIGHUP")
    assert len(line["resources"]) == 51
    assert line["resources"]["..."] == "10 more"


@pytest.fixture(scope="module")
def secretive():
    """A message with a secret, as a schema declares one."""
    file = descriptor_pb2.FileDescriptorProto(name="secretive.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="Secretive")
    for number, name in enumerate(("open", "key"), start=1):
        message.field.add(name=name, number=number, type=9, label=1)
    message.field[1].options.debug_redact = True
    inner = file.message_type.add(name="Holder")
    inner.field.add(name="hidden", number=1, type=11, label=1, type_name=".t.Secretive")
    inner.field.add(name="many", number=2, type=11, label=3, type_name=".t.Secretive")
    inner.field[0].options.debug_redact = True
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return [
        message_factory.GetMessageClass(pool.FindMessageTypeByName(f"t.{name}"))
        for name in ("Secretive", "Holder")
    ]


def test_what_the_daemon_works_out_itself_is_no_change():
    before = Service(options=ServiceOptions(mss=1300))
    after = Service(options=ServiceOptions(mss=1300), effective_options=ServiceOptions(mss=1300))
    assert fields_changed(before, after) == {}


def test_a_secret_is_never_shown_but_that_it_changed(secretive):
    kind, holder = secretive
    before, after = kind(open="a", key="k1"), kind(open="b", key="k2")
    assert fields_changed(before, after) == {
        "open": ("a", "b"), "key": ("(secret)", "(secret)"),
    }
    assert fields_changed(before, before) == {}
    assert fields_changed(None, before) == {"open": (None, "a"), "key": (None, "(secret)")}
    assert fields_set(holder(hidden=before, many=[after])) == {
        "hidden.open": "(secret)", "hidden.key": "(secret)",
        "many[0].open": "b", "many[0].key": "(secret)",
    }
