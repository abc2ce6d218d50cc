"""No call keeps its place without end, whatever its caller leaves undone."""

import asyncio
import socket
from contextlib import ExitStack

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1.services_service_pb2 import ListServicesRequest
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.lab.waiting import until
from appliance.management import bounds

from .http2 import CONNECTION_PREFACE, call, message, window

ANSWER_S = 10
CALL_S = 2.0        # time for all that fit in to come in
LIST = "synproxy.v1.ServicesService/ListServices"
WATCH = "synproxy.v1.ServicesService/WatchServices"
UNDONE = {
    "nobody takes its answer": lambda stream: call(stream, LIST) + message(stream, 0),
    "its request doesn't come": lambda stream: call(stream, LIST),
    "its request ends before it begins": lambda stream: call(stream, LIST, ends=True),
    "half of its request comes": lambda stream: call(stream, LIST) + message(stream, 2, b"\x0a"),
    "nobody says what to watch": lambda stream: call(stream, WATCH),
}


def listed(channel):
    """The number of services, or why there is none."""
    try:
        answer = ServicesServiceStub(channel).ListServices(ListServicesRequest(), timeout=ANSWER_S)
    except grpc.RpcError as error:
        return error.code()
    return len(answer.services)


@pytest.mark.parametrize("undone", UNDONE)
def test_a_full_listener_answers_again_once_its_calls_are_cut(daemon, monkeypatch, undone):
    monkeypatch.setattr(bounds, "CALL_S", CALL_S)
    each = bounds.CALLS_PER_CONNECTION_MAX
    calls = b"".join(UNDONE[undone](2 * number + 1) for number in range(each))
    with ExitStack() as callers:
        for _ in range(bounds.CALLS_MAX // each + 1):       # more than fit in
            caller = callers.enter_context(socket.socket(socket.AF_UNIX))
            caller.connect(daemon.address.removeprefix("unix:"))
            caller.sendall(CONNECTION_PREFACE + window(0) + calls)
        until(lambda: listed(daemon.channel) is grpc.StatusCode.RESOURCE_EXHAUSTED,
              seconds=ANSWER_S, what="all to come in")
        until(lambda: listed(daemon.channel) == 2, seconds=ANSWER_S, what="them to be cut")


def test_a_watch_lasts_longer_than_a_call(daemon, monkeypatch):
    monkeypatch.setattr(bounds, "CALL_S", CALL_S)
    stream = HealthStub(daemon.channel).Watch(HealthCheckRequest())
    next(stream)
    daemon.call(asyncio.sleep(CALL_S + 0.1))
    assert stream.is_active()
    stream.cancel()
