"""What callers can't take from the daemon: room, time, and the calls of others."""

import asyncio
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from google.protobuf import descriptor_pool
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.config_pb2 import NamedRole, Tls
from synproxy.v1.rule_pb2 import ROLE_ADMIN, ROLE_OPERATOR, ROLE_VIEWER
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.api import SERVICE_NAMES
from appliance.cli.connection import CHANGE_TIMEOUT_S, TIMEOUT_S
from appliance.config.listening import Listening
from appliance.config.load import FILE_BYTES_MAX
from appliance.lab.waiting import until
from appliance.management import bounds
from appliance.management.catalogue import ACKNOWLEDGE_TIMEOUT_S
from cython_core.dataplane import RULES_MAX

from . import http2
from .conftest import Daemon
from .http2 import CONNECTION_PREFACE, SETTINGS, frame

METHODS = [
    method for name in SERVICE_NAMES
    for method in cast(Any, descriptor_pool.Default()).FindServiceByName(name).methods
]
ROOT = Path(__file__).parents[2]
CALL_S = 10


@pytest.fixture
def viewers(tmp_path):
    """A daemon with a second door; its address."""
    address = f"unix:{tmp_path}/viewer.sock"
    with Daemon(tmp_path / "api.sock", [Listening("m", address, ROLE_VIEWER)]) as daemon:
        yield daemon, address


def own_channel(address: str) -> grpc.Channel:
    """With a connection of its own."""
    return grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),))


def listed(channel: grpc.Channel, timeout: float = CALL_S) -> int:
    answer = ServicesServiceStub(channel).ListServices(api.ListServicesRequest(), timeout=timeout)
    return len(answer.services)


def looked_for(channel: grpc.Channel, length: int) -> grpc.RpcError:
    """What becomes of asking for a service by a name of that many bytes."""
    with pytest.raises(grpc.RpcError) as error:
        ServicesServiceStub(channel).GetService(
            api.GetServiceRequest(name="x" * length), timeout=CALL_S)
    return error.value


def test_a_request_has_a_size_by_who_may_come(viewers):
    daemon, address = viewers
    with own_channel(address) as channel:
        for own, most in ((daemon.channel, bounds.APPLY_BYTES_MAX),
                          (channel, bounds.REQUEST_BYTES_MAX)):
            error = looked_for(own, most + 1)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert f"vs. {most})" in error.details()
            assert looked_for(own, most - 100).code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(("listening", "most"), [
    (Listening("m", "unix:/a", ROLE_VIEWER), bounds.REQUEST_BYTES_MAX),
    (Listening("m", "unix:/a", ROLE_OPERATOR), bounds.APPLY_BYTES_MAX),
    (Listening("m", "unix:/a"), bounds.APPLY_BYTES_MAX),
    (Listening("m", "[::]:8080", ROLE_VIEWER, health=True), bounds.REQUEST_BYTES_MAX),
    (Listening("m", "[::]:1", tls=Tls(roles=[NamedRole(name="a", role=ROLE_VIEWER)])),
     bounds.REQUEST_BYTES_MAX),
    (Listening("m", "[::]:1", tls=Tls(roles=[NamedRole(name="a", role=ROLE_VIEWER),
                                             NamedRole(name="b", role=ROLE_OPERATOR)])),
     bounds.APPLY_BYTES_MAX),
])
def test_long_requests_are_for_those_who_may_apply(listening, most):
    assert dict(bounds.server_options(listening))["grpc.max_receive_message_length"] == most


def test_whatever_a_file_holds_fits_in_a_request():
    """Each item of a list may take a byte more than with a comma behind it."""
    assert FILE_BYTES_MAX + RULES_MAX <= bounds.APPLY_BYTES_MAX


def answered(channel: grpc.Channel, method: Any, body: bytes) -> object:
    path = f"/{method.containing_service.full_name}/{method.name}"
    if method.server_streaming:
        return next(channel.unary_stream(path)(body, timeout=CALL_S))
    return channel.unary_unary(path)(body, timeout=CALL_S)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_bytes_that_are_no_message_are_refused_by_every_method(daemon, method):
    with pytest.raises(grpc.RpcError) as error:
        answered(daemon.channel, method, b"\x0a\xff")
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "no message" in error.value.details()


def test_so_are_those_of_a_stream_of_requests(daemon, caplog):
    reflect = daemon.channel.stream_stream(
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
    answers = reflect(iter([b"\x3a\x00", b"\x0a\xff"]), timeout=CALL_S)
    assert next(answers)            # of what is served
    with pytest.raises(grpc.RpcError) as error:
        next(answers)
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert [one for one in caplog.records if one.exc_info] == []


def test_an_answer_has_a_size(tmp_path, monkeypatch):
    options = [(key, 60 if "send" in key else value) for key, value in bounds._OPTIONS]
    monkeypatch.setattr(bounds, "_OPTIONS", tuple(options))
    with Daemon(tmp_path / "api.sock") as daemon, pytest.raises(grpc.RpcError) as error:
        listed(daemon.channel)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def long_calls(channel: grpc.Channel, count: int) -> list[Any]:
    """Each takes 10 s."""
    request = GetStatsRequest(rates_over=Duration(seconds=10))
    return [StatsServiceStub(channel).GetStats.future(request) for _ in range(count)]


def test_calls_at_a_time_are_bounded_at_each_door_for_itself(viewers):
    daemon, address = viewers
    channels = [own_channel(address) for _ in range(bounds.CALLS_MAX // 32 + 1)]
    calls = [call for channel in channels for call in long_calls(channel, 32)]
    until(lambda: not has_room(address), seconds=CALL_S, what="all to come in")
    assert listed(daemon.channel) == 2          # the admins' door
    for call in calls:
        call.cancel()
    for channel in channels:
        channel.close()
    until(lambda: has_room(address), seconds=CALL_S, what="the end of the calls to arrive")


def has_room(address: str) -> bool:
    with own_channel(address) as channel:
        try:
            return listed(channel) == 2
        except grpc.RpcError as error:
            if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
                raise
            return False


def test_calls_of_a_connection_beyond_its_bound_wait_for_their_turn(viewers):
    _, address = viewers
    with own_channel(address) as channel, own_channel(address) as other:
        assert listed(channel) == 2     # it is connected, and knows the bound
        calls = long_calls(channel, bounds.CALLS_PER_CONNECTION_MAX)
        with pytest.raises(grpc.RpcError) as error:
            listed(channel, timeout=0.2)
        assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert listed(other) == 2
        calls[0].cancel()
        assert listed(channel) == 2


def test_connections_are_bounded(tmp_path, monkeypatch):
    options = [(key, 4 if "incoming" in key else value) for key, value in bounds._OPTIONS]
    monkeypatch.setattr(bounds, "_OPTIONS", tuple(options))
    with Daemon(tmp_path / "api.sock") as daemon:
        held = [own_channel(daemon.address) for _ in range(8)]

        def one(channel):
            try:
                return listed(channel)
            except grpc.RpcError as error:
                return error.code()

        with ThreadPoolExecutor(8) as pool:
            ends = list(pool.map(one, held))
        assert 1 <= ends.count(2) <= 4
        assert set(ends) == {2, grpc.StatusCode.UNAVAILABLE}
        for channel in held:
            channel.close()


def test_a_call_without_a_deadline_gets_one(daemon, monkeypatch):
    monkeypatch.setattr(bounds, "UNARY_DEADLINE_S", 0.1)
    daemon.plane.stuck = True
    request = api.UpdateServiceRequest(
        service=Service(name="web", options=ServiceOptions(mss=1300)))
    with pytest.raises(grpc.RpcError) as error:
        ServicesServiceStub(daemon.channel).UpdateService(request)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert error.value.details() == "not done after 0.1 s, the most that a call may take"
    daemon.plane.stuck = False
    assert listed(daemon.channel) == 2


def test_a_stream_has_no_deadline_of_ours(daemon, monkeypatch):
    monkeypatch.setattr(bounds, "UNARY_DEADLINE_S", 0.01)
    stream = HealthStub(daemon.channel).Watch(HealthCheckRequest())
    next(stream)
    daemon.call(asyncio.sleep(0.1))
    assert stream.is_active()
    stream.cancel()


# What a client says first, and a PING.
PREFACE = CONNECTION_PREFACE + frame(SETTINGS)
PING = frame(http2.PING, body=b"pingping")


def heard(daemon: Daemon, said: bytes) -> bytes:
    """All that the daemon says to it until it hangs up."""
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(CALL_S)
        caller.connect(daemon.address.removeprefix("unix:"))
        with suppress(BrokenPipeError):
            caller.sendall(said)
        answer = b""
        with suppress(ConnectionResetError):
            while some := caller.recv(4096):
                answer += some
        return answer


def test_who_pings_without_end_is_sent_away(daemon):
    assert b"too_many_pings" in heard(daemon, PREFACE + 10 * PING)
    assert listed(daemon.channel) == 2


def test_who_says_nothing_is_hung_up_on(tmp_path, monkeypatch):
    options = [(key, 50 if "handshake" in key else value) for key, value in bounds._OPTIONS]
    monkeypatch.setattr(bounds, "_OPTIONS", tuple(options))
    with Daemon(tmp_path / "api.sock") as daemon:
        heard(daemon, b"")
        assert listed(daemon.channel) == 2


@pytest.mark.parametrize(
    "said",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", bytes(range(256)) * 64,
     # A frame longer than SETTINGS_MAX_FRAME_SIZE; HEADERS that no HPACK decoder takes.
     PREFACE + b"\xff\xff\xff\x00\x00\x00\x00\x00\x01",
     PREFACE + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff"],
    ids=["HTTP/1", "TLS", "garbage", "frame too long", "bad headers"],
)
def test_who_speaks_no_grpc_is_hung_up_on(daemon, said):
    heard(daemon, said)
    assert listed(daemon.channel) == 2


def test_the_waits_stand_in_their_order():
    assert ACKNOWLEDGE_TIMEOUT_S < TIMEOUT_S < bounds.UNARY_DEADLINE_S < CHANGE_TIMEOUT_S
    assert CHANGE_TIMEOUT_S < bounds.CALL_S
    # An hour at most, as config.proto says of Tls.
    assert bounds.AGE_MS * 11 // 10 + bounds.AGE_GRACE_MS <= 60 * bounds.MINUTE_MS


@pytest.mark.parametrize("file", ["proto/synproxy/v1/config.proto", "README.md"])
def test_the_bounds_are_those_that_are_told(file):
    text = re.sub(r"\s+(// )?", " ", (ROOT / file).read_text())
    for words in (
        f"{bounds.CONNECTIONS_MAX} connections", f"{bounds.CALLS_MAX} calls at a time in all",
        f"{bounds.CALLS_PER_CONNECTION_MAX} calls at a time on each",
        f"requests of {bounds.REQUEST_BYTES_MAX // bounds.MIB} MiB",
        f"requests of {bounds.APPLY_BYTES_MAX // bounds.MIB} MiB",
        f"answers of {bounds.ANSWER_BYTES_MAX // bounds.MIB} MiB",
        f"{bounds.UNARY_DEADLINE_S:g} s for a call", f"cut after {bounds.CALL_S:g} s",
    ):
        assert words in text, words


def test_only_what_was_proven_ages():
    roles = Tls(roles=[NamedRole(name="a", role=ROLE_ADMIN)])
    tcp, tls = (dict(bounds.server_options(Listening("m", "[::1]:1", tls=one)))
                for one in (None, roles))
    assert tcp.items() < tls.items()
    assert tls["grpc.max_connection_age_ms"] == bounds.AGE_MS
