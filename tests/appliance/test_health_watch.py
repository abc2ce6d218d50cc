"""Health as it is listed and watched, and where a watcher doesn't listen."""

import asyncio
import socket

import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse, HealthListRequest
from grpc_health.v1.health_pb2_grpc import HealthStub

from appliance.api import CONFIGURATION, SERVICE_NAMES
from appliance.management.health import Health

from .http2 import CONNECTION_PREFACE, call, message, window

ANSWER_S = 10
NAME = SERVICE_NAMES[0]
SERVING, NOT_SERVING, SERVICE_UNKNOWN = (
    HealthCheckResponse.SERVING, HealthCheckResponse.NOT_SERVING,
    HealthCheckResponse.SERVICE_UNKNOWN,
)


def watching(daemon, name):
    return HealthStub(daemon.channel).Watch(HealthCheckRequest(service=name), timeout=ANSWER_S)


def checked(daemon, name):
    request = HealthCheckRequest(service=name)
    return HealthStub(daemon.channel).Check(request, timeout=ANSWER_S).status


@pytest.fixture
def stopped(daemon):
    """A watcher that has been heard, and takes nothing."""
    request = HealthCheckRequest(service=NAME).SerializeToString()
    with socket.socket(socket.AF_UNIX) as caller:
        caller.settimeout(ANSWER_S)
        caller.connect(daemon.address.removeprefix("unix:"))
        caller.sendall(CONNECTION_PREFACE + window(0) + call(1, "grpc.health.v1.Health/Watch")
                       + message(1, len(request), request))
        heard = b""
        while b"application/grpc" not in heard:     # the head of its answer
            heard += caller.recv(4096)
        yield caller


def test_a_watcher_hears_how_it_is_and_then_what_changes(daemon):
    stream = watching(daemon, NAME)
    assert next(stream).status == SERVING
    for well in (True, False):
        daemon.do(daemon.server.set_serving, well)
    assert next(stream).status == NOT_SERVING


class Counting(Health):
    """Counts how often somebody looks, who sees the same each time and so goes on."""

    looks = 0

    def _answer(self, name):
        self.looks += 1
        return HealthCheckResponse(status=SERVING)


async def looks_of_a_watcher(beats):
    """How often one looks while this is said of what it watches."""
    health = Counting()
    stream = health.Watch(HealthCheckRequest(), None)
    await anext(stream)
    waiting = asyncio.ensure_future(anext(stream))
    for well in beats:
        health.set("", well)
        await asyncio.sleep(0)
    waiting.cancel()
    return health.looks


def test_a_watcher_is_woken_only_where_something_changes():
    alone = asyncio.run(looks_of_a_watcher([True]))
    assert asyncio.run(looks_of_a_watcher([True] * 100)) == alone
    assert asyncio.run(looks_of_a_watcher([True, False] * 2)) == alone + 3


def test_all_are_listed(daemon):
    daemon.do(daemon.server.set_configuration, False)
    listed = HealthStub(daemon.channel).List(HealthListRequest(), timeout=ANSWER_S).statuses
    assert {name: one.status for name, one in listed.items()} == {
        **dict.fromkeys(("", *SERVICE_NAMES), SERVING), CONFIGURATION: NOT_SERVING}


def test_of_what_nobody_knows_a_watcher_hears_that(daemon):
    assert next(watching(daemon, "nothing")).status == SERVICE_UNKNOWN


@pytest.mark.usefixtures("stopped")
def test_one_that_takes_nothing_holds_up_neither_the_daemon_nor_other_watchers(daemon):
    stream = watching(daemon, NAME)
    assert next(stream).status == SERVING
    daemon.do(daemon.server.set_serving, False)
    assert next(stream).status == NOT_SERVING
    assert checked(daemon, NAME) == NOT_SERVING


@pytest.mark.usefixtures("stopped")
def test_nor_the_daemons_end(daemon):
    daemon.call(daemon.server.stop())
