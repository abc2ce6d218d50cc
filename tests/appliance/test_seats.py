"""Places of streams: a listener's readers, even stopped ones, take none of another's, nor of
another kind's, nor of the calls that are soon answered."""

import re
import socket
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from queue import SimpleQueue

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1.capture_service_pb2 import CaptureRequest
from synproxy.v1.rule_pb2 import ROLE_VIEWER
from synproxy.v1.stats_service_pb2 import WatchStatsRequest

from appliance.config.listening import Listening
from appliance.lab.waiting import until
from appliance.management import bounds, samplings, watchers
from appliance.management.bounds import STREAMS_MAX

from .conftest import Daemon
from .http2 import CONNECTION_PREFACE, call, message, window
from .methods import methods

CALL_S = 10
ROOT = Path(__file__).parents[2]
CAPTURE = "/synproxy.v1.CaptureService/Capture"
STATS = "/synproxy.v1.StatsService/WatchStats"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
ONE_PACKET = CaptureRequest(packets=1).SerializeToString()
# One captures at a time, so that its readers are a matter of their own.
WATCHES = [method for method in STREAMS_MAX if method != CAPTURE]


def stream(channel, method, body=b""):
    if method == REFLECTION:        # asks for what isn't there, and then for nothing more
        return channel.stream_stream(method)(chain([b"\x22\x01x"], iter(SimpleQueue().get, None)))
    return channel.unary_stream(method)(body)


@pytest.fixture
def two_doors(tmp_path):
    """A daemon, and what opens a connection to its viewers' socket."""
    address = f"unix:{tmp_path}/viewer.sock"
    with (
        Daemon(tmp_path / "api.sock", [Listening("m", address, ROLE_VIEWER)]) as daemon,
        ExitStack() as channels,
    ):
        yield daemon, lambda: channels.enter_context(
            grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),)))


def opened(channel, method, count):
    """So many that stand, each with its first answer, and take no more."""
    streams = [stream(channel, method) for _ in range(count)]
    for one in streams:
        next(one)
    return streams


def refusal(one):
    with pytest.raises(grpc.RpcError) as error:
        next(one)
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    return error.value.details()


def taken(one):
    try:
        next(one)
    except grpc.RpcError:
        return False
    one.cancel()
    return True


@pytest.mark.parametrize("method", WATCHES)
def test_a_listener_full_of_stopped_readers_leaves_another_its_own_places(two_doors, method):
    daemon, connect = two_doors
    viewers, limit = connect(), STREAMS_MAX[method]
    stopped = opened(viewers, method, limit)
    words = f"all {limit} places for such a stream at this listener are taken"
    assert refusal(stream(viewers, method)) == words
    admins = opened(daemon.channel, method, limit)
    stopped.pop().cancel()
    until(lambda: taken(stream(viewers, method)), seconds=CALL_S, what="the place to be free")
    for one in (*stopped, *admins):
        one.cancel()


def test_of_different_samplings_too_each_listener_has_its_own(two_doors):
    daemon, connect = two_doors
    viewers = connect()

    def sampling(channel, seconds):
        return stream(channel, STATS, WatchStatsRequest(
            interval=Duration(seconds=seconds)).SerializeToString())

    different = range(1, samplings.SAMPLINGS_MAX + 1)
    watched = [sampling(channel, seconds)
               for channel in (viewers, daemon.channel) for seconds in different]
    for one in watched:
        next(one)
    assert "at this listener" in refusal(sampling(viewers, samplings.SAMPLINGS_MAX + 1))
    for one in watched:
        one.cancel()


def test_captures_that_nobody_reads_to_the_end_have_so_many_places(daemon):
    limit = STREAMS_MAX[CAPTURE]
    with socket.socket(socket.AF_UNIX) as caller:
        caller.connect(daemon.address.removeprefix("unix:"))
        caller.sendall(CONNECTION_PREFACE + window(0))
        for number in range(limit):
            caller.sendall(call(2 * number + 1, CAPTURE.removeprefix("/"))
                           + message(2 * number + 1, len(ONE_PACKET), ONE_PACKET))
            until(lambda: daemon.plane.capturing, seconds=CALL_S, what="the capture to begin")
            daemon.plane.frames = [(0, 1, False, None, 60, bytes(60))]
            until(lambda: not daemon.plane.capturing, seconds=CALL_S, what="the capture to end")
        assert f"all {limit} places" in refusal(stream(daemon.channel, CAPTURE, ONE_PACKET))
    until(lambda: taken(stream(daemon.channel, CAPTURE, ONE_PACKET)), seconds=CALL_S,
          what="the places to be free")


def test_where_all_places_are_taken_a_probe_is_answered_and_so_is_a_list(two_doors):
    _, connect = two_doors
    probing = connect()
    held = []
    for method in WATCHES:
        channel = connect()
        held += opened(channel, method, STREAMS_MAX[method])
        refusal(stream(channel, method))
    assert len(held) == sum(STREAMS_MAX[method] for method in WATCHES)
    probe = HealthStub(probing).Check(HealthCheckRequest(), timeout=CALL_S)
    assert probe.status == HealthCheckResponse.SERVING
    assert probing.unary_unary("/synproxy.v1.ServicesService/ListServices")(b"", timeout=CALL_S)
    for one in held:
        one.cancel()


def test_each_stream_has_places_and_all_together_leave_room():
    ours = {path for path, method in methods().items() if method.server_streaming}
    assert set(STREAMS_MAX) == {*ours, "/grpc.health.v1.Health/Watch", REFLECTION}
    assert bounds.CALLS_MAX - sum(STREAMS_MAX.values()) == 16


PLACES = ("{ServicesService/WatchServices} for the services, {StatsService/WatchStats} for the"
          " stats, {EventsService/WatchEvents} for the events, {CaptureService/Capture} for"
          " captures, {Health/Watch} for health and"
          " {ServerReflection/ServerReflectionInfo} for reflection")


def limit_of(name):
    (limit,) = (limit for method, limit in STREAMS_MAX.items() if method.endswith(f".{name}"))
    return str(limit)


def counted(words):
    """With each method's number of places."""
    return re.sub(r"\{(.*?)\}", lambda found: limit_of(found[1]), words)


@pytest.mark.parametrize(("file", "words"), [
    ("README.md", PLACES), ("README.md", "; 16 are left for all other calls"),
    ("proto/synproxy/v1/config.proto", PLACES),
    ("proto/synproxy/v1/config.proto", "and 16 are left for all other calls"),
    ("proto/synproxy/v1/services_service.proto", "{ServicesService/WatchServices} watch already"),
    ("proto/synproxy/v1/services_service.proto", f"the last {watchers.LOG_MAX} changes"),
    ("proto/synproxy/v1/events_service.proto", "{EventsService/WatchEvents} watch already"),
    ("proto/synproxy/v1/capture_service.proto", "of {CaptureService/Capture} captures at this"),
    ("proto/synproxy/v1/stats_service.proto",
     "{StatsService/WatchStats} watch already at this listener, or"
     f" {samplings.SAMPLINGS_MAX} different"),
])
def test_the_bounds_are_those_that_are_told(file, words):
    assert counted(words) in re.sub(r"\s+(// )?", " ", (ROOT / file).read_text())
