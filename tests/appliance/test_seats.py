"""Places of those who watch: a listener's readers, even stopped ones, take none of another's."""

import re
from pathlib import Path

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import events_service_pb2 as events_api
from synproxy.v1 import services_service_pb2 as services_api
from synproxy.v1 import stats_service_pb2 as stats_api
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub
from synproxy.v1.rule_pb2 import ROLE_VIEWER
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.config.listening import Listening
from appliance.lab.waiting import until
from appliance.management import events, samplings, services, watchers

from .conftest import Daemon

CALL_S = 10
ROOT = Path(__file__).parents[2]
WATCHES = {
    "services": (services.WATCHERS_MAX, lambda channel, _: ServicesServiceStub(
        channel).WatchServices(services_api.WatchServicesRequest())),
    "stats": (samplings.READERS_MAX, lambda channel, _: StatsServiceStub(
        channel).WatchStats(stats_api.WatchStatsRequest())),
    "samplings": (samplings.SAMPLINGS_MAX, lambda channel, n: StatsServiceStub(
        channel).WatchStats(stats_api.WatchStatsRequest(interval=Duration(seconds=n + 1)))),
    "events": (events.READERS_MAX, lambda channel, _: EventsServiceStub(
        channel).WatchEvents(events_api.WatchEventsRequest())),
}


@pytest.fixture
def two_doors(tmp_path):
    """A daemon, and two connections to its viewers' socket: one has no more calls than a
    kind has places."""
    address = f"unix:{tmp_path}/viewer.sock"
    with Daemon(tmp_path / "api.sock", [Listening("m", address, ROLE_VIEWER)]) as daemon:
        channels = [grpc.insecure_channel(address, (("grpc.use_local_subchannel_pool", 1),))
                    for _ in range(2)]
        yield daemon, channels
        for channel in channels:
            channel.close()


def refused(stream):
    with pytest.raises(grpc.RpcError) as error:
        next(stream)
    return error.value.code(), error.value.details()


@pytest.mark.parametrize("kind", WATCHES)
def test_a_listener_full_of_stopped_readers_leaves_another_its_own_places(two_doors, kind):
    daemon, (viewers, more) = two_doors
    count, watch = WATCHES[kind]
    stopped = [watch(viewers, n) for n in range(count)]
    for stream in stopped:
        next(stream)        # and never again
    code, details = refused(watch(more, count))
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "at this listener" in details
    admins = [watch(daemon.channel, count + n) for n in range(count)]
    for stream in admins:
        next(stream)
    stopped.pop().cancel()
    until(lambda: taken(watch(more, count)), seconds=CALL_S, what="the place to be free")
    for stream in (*stopped, *admins):
        stream.cancel()


@pytest.mark.parametrize(("file", "words"), [
    ("README.md", f"{services.WATCHERS_MAX} for the services, {samplings.READERS_MAX} for the"
                  f" stats, {events.READERS_MAX} for the events"),
    ("proto/synproxy/v1/services_service.proto", f"{services.WATCHERS_MAX} watch already"),
    ("proto/synproxy/v1/services_service.proto", f"the last {watchers.LOG_MAX} changes"),
    ("proto/synproxy/v1/events_service.proto", f"{events.READERS_MAX} watch already"),
    ("proto/synproxy/v1/stats_service.proto",
     f"{samplings.READERS_MAX} watch already at this listener, or {samplings.SAMPLINGS_MAX}"
     " different"),
])
def test_the_bounds_are_those_that_are_told(file, words):
    assert words in re.sub(r"\s+(// )?", " ", (ROOT / file).read_text())


def taken(stream):
    try:
        next(stream)
    except grpc.RpcError:
        return False
    stream.cancel()
    return True
