"""The gRPC services, called as any client calls them."""

import stat
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service, ServiceOptions, Timeouts
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.api import SERVICE_NAMES
from appliance.config.listening import Listening
from appliance.config.options import effective_options
from appliance.management import catalogue
from appliance.management.server import ManagementServer
from appliance.refusal import Refusal
from cython_core.dataplane import COUNTER_HELP, COUNTERS, DROP_REASONS, SERVICE_COUNTERS

from .refused import violations

CALL_S = 10


@pytest.fixture
def services(daemon):
    return ServicesServiceStub(daemon.channel)


@pytest.fixture
def update(services):
    """UpdateService on "web", unless told otherwise."""

    def call(options=None, paths=None, name="web", validate_only=False, timeout=CALL_S):
        return services.UpdateService(
            api.UpdateServiceRequest(
                service=Service(name=name, options=options),
                update_mask=None if paths is None else FieldMask(paths=paths),
                validate_only=validate_only,
            ),
            timeout=timeout,
        )

    return call


def test_services_are_listed_in_order_with_what_is_in_effect(services):
    answer = services.ListServices(api.ListServicesRequest(), timeout=CALL_S)
    assert [service.name for service in answer.services] == ["web", "mail"]
    assert answer.generation == 1
    web = answer.services[0]
    assert web.options == ServiceOptions(mss=1400)
    assert (web.effective_options.mss, web.effective_options.wscale) == (1400, 9)


def test_one_service_is_got_by_name(services):
    service = services.GetService(api.GetServiceRequest(name="mail"), timeout=CALL_S).service
    assert (list(service.prefixes), list(service.ports)) == (["192.0.2.25"], ["25"])


def test_an_update_is_published_and_answered_once_acknowledged(daemon, update):
    answer = update(ServiceOptions(mss=1300), ["options.mss"])
    assert answer.generation == 2
    assert answer.previous.effective_options.mss == 1400
    assert answer.service.effective_options.mss == 1300
    assert answer.apply_time.ToNanoseconds() > 0
    assert [spec.options.mss for spec in daemon.plane.published[-1]] == [1300, 1460]
    assert [spec.slot for spec in daemon.plane.published[-1]] == [0, 1]


def test_the_mask_says_what_is_taken(update):
    wanted = ServiceOptions(mss=1300, wscale=3, timeouts=Timeouts(closed=Duration(seconds=9)))
    options = update(wanted, ["options.wscale", "options.timeouts.closed"]).service.options
    assert options == ServiceOptions(
        mss=1400, wscale=3, timeouts=Timeouts(closed=Duration(seconds=9))
    )


def test_without_a_mask_what_is_set_is_taken(update):
    assert update(ServiceOptions(wscale=0)).service.options == ServiceOptions(mss=1400, wscale=0)


@pytest.mark.parametrize("path", ["options.mss", "options"])
def test_what_the_mask_names_and_the_request_leaves_unset_falls_back(update, path):
    assert update(None, [path]).service.effective_options.mss == 1460


def test_a_timeout_falls_back_alone(update):
    both = Timeouts(closed=Duration(seconds=9), time_wait=Duration(seconds=8))
    update(ServiceOptions(timeouts=both))
    options = update(None, ["options.timeouts.closed"]).service.options
    assert options.timeouts == Timeouts(time_wait=Duration(seconds=8))


def test_validate_only_answers_as_if_and_changes_nothing(daemon, services, update):
    answer = update(ServiceOptions(mss=1300), validate_only=True)
    assert (answer.service.effective_options.mss, answer.generation) == (1300, 0)
    now = services.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S)
    assert (now.service.options.mss, now.generation) == (1400, 1)
    assert len(daemon.plane.published) == 1


def test_every_field_that_is_wrong_is_named_at_once(daemon, services, update):
    with pytest.raises(grpc.RpcError) as error:
        update(ServiceOptions(mss=1, timeouts=Timeouts(closed=Duration(seconds=-1))))
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert violations(error.value) == [
        ("service.options.mss", "must be 536..8960 bytes, not 1"),
        ("service.options.timeouts.closed",
         "must be 4s..1h in steps of 1s, not a negative duration"),
    ]
    assert len(daemon.plane.published) == 1
    web = services.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S).service
    assert web.options == ServiceOptions(mss=1400)


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("options.msss", "options.msss is no field of a service"),
        ("nonsense", "nonsense is no field of a service"),
        ("", " is no field of a service"),
        ("name", "name can't be changed, only prefixes, ports and what is below options"),
        ("etag", "etag can't be changed, only prefixes, ports and what is below options"),
        ("effective_options.mss",
         "effective_options.mss can't be changed, only prefixes, ports and what is below options"),
    ],
)
def test_a_mask_that_names_something_else_is_refused(update, path, reason):
    with pytest.raises(grpc.RpcError) as error:
        update(ServiceOptions(mss=1300), ["options.mss", path])
    assert violations(error.value) == [("update_mask", reason)]


def test_a_name_is_required(services, update):
    with pytest.raises(grpc.RpcError) as error:
        update(name="")
    assert violations(error.value) == [("service.name", "is required")]
    with pytest.raises(grpc.RpcError) as error:
        services.GetService(api.GetServiceRequest(), timeout=CALL_S)
    assert violations(error.value) == [("name", "is required")]


def test_a_name_that_no_service_has_is_not_found(services, update):
    with pytest.raises(grpc.RpcError) as error:
        update(name="nope")
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError) as error:
        services.GetService(api.GetServiceRequest(name="nope"), timeout=CALL_S)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_an_update_that_the_data_plane_refuses_changes_nothing(daemon, services, update):
    daemon.plane.failing = True
    with pytest.raises(grpc.RpcError) as error:
        update(ServiceOptions(mss=1300))
    assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    now = services.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S)
    assert (now.service.options.mss, now.generation) == (1400, 1)


def test_a_stuck_worker_makes_an_update_unavailable_in_bounded_time(daemon, update, monkeypatch):
    monkeypatch.setattr(catalogue, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    daemon.plane.stuck = True
    with pytest.raises(grpc.RpcError) as error:
        update(ServiceOptions(mss=1300))
    assert error.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "generation 2 is published" in error.value.details()


def test_a_caller_that_gives_up_leaves_the_next_one_free(daemon, update):
    daemon.plane.stuck = True
    with pytest.raises(grpc.RpcError) as error:
        update(ServiceOptions(mss=1300), timeout=0.2)
    assert error.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    daemon.plane.stuck = False
    answer = update(ServiceOptions(mss=1200))
    assert answer.previous.options.mss == 1300


def test_concurrent_updates_run_one_after_the_other_and_none_is_lost(daemon, update):
    def one(number):
        odd = ServiceOptions(unknown_rate=1 + number)
        return update(odd if number % 2 else ServiceOptions(mss=600 + number))

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(one, range(40)))
    # No two states are alike, so each answer has one that goes before it, but for the first.
    following = {state(answer.previous): answer for answer in answers}
    (at,) = following.keys() - {state(answer.service) for answer in answers}
    in_order = []
    while at in following:
        in_order.append(following.pop(at))
        at = state(in_order[-1].service)
    assert len(in_order) == 40
    # Those that waited together share a snapshot.
    generations = [answer.generation for answer in in_order]
    assert generations == sorted(generations)
    assert (generations[0], generations[-1]) == (2, len(set(generations)) + 1)


def state(service):
    return service.SerializeToString(deterministic=True)


def test_stats_tell_workers_services_ports_and_pools(daemon):
    stats = StatsServiceStub(daemon.channel).GetStats(GetStatsRequest(), timeout=CALL_S)
    assert stats.generation == 1
    assert stats.uptime.ToNanoseconds() > 0
    assert [worker.lcore for worker in stats.workers] == [1, 2]
    worker = stats.workers[0]
    assert (worker.counters[COUNTERS[0]], worker.drops[DROP_REASONS[-1]]) == (7, 3)
    assert DROP_REASONS[-1] not in worker.counters
    assert (worker.connections, worker.half_open_max, worker.busy_cycles) == (2, 64, 250)
    assert [(one.name, one.counters[SERVICE_COUNTERS[0]]) for one in stats.services] == [
        ("web", 10), ("mail", 11),
    ]
    web, mail = stats.services
    assert (web.cookies, web.HasField("cookies_age")) == (True, False)
    assert (mail.cookies, mail.cookies_age.ToMilliseconds()) == (False, 130_250)
    assert [(port.role, port.rx_nombuf) for port in stats.ports] == [("client", 4), ("server", 4)]
    assert (stats.mempools[0].size, stats.mempools[0].in_use) == (1023, 17)


def test_it_is_alive_at_once_and_ready_when_told(daemon):
    health = HealthStub(daemon.channel)
    for name in ("", *SERVICE_NAMES):
        answer = health.Check(HealthCheckRequest(service=name), timeout=CALL_S)
        assert answer.status == HealthCheckResponse.SERVING
    with pytest.raises(grpc.RpcError) as error:
        health.Check(HealthCheckRequest(service="nope"), timeout=CALL_S)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND


def test_before_the_workers_run_it_is_alive_but_not_ready(daemon, tmp_path):
    address = f"unix:{tmp_path / 'second.sock'}"

    async def start():
        listening = [Listening("management", address)]
        server = ManagementServer(listening, daemon.catalogue, daemon.plane, daemon.file)
        await server.start()
        return server

    server = daemon.call(start())
    with grpc.insecure_channel(address) as channel:
        health = HealthStub(channel)
        alive = health.Check(HealthCheckRequest(), timeout=CALL_S)
        ready = health.Check(HealthCheckRequest(service=SERVICE_NAMES[0]), timeout=CALL_S)
    daemon.call(server.stop())
    assert alive.status == HealthCheckResponse.SERVING
    assert ready.status == HealthCheckResponse.NOT_SERVING


def test_the_socket_is_its_owners_alone_and_goes_with_the_server(daemon, tmp_path):
    path = tmp_path / "third.sock"

    async def start_and_stop():
        server = ManagementServer(
            [Listening("management", f"unix:{path}")], daemon.catalogue, daemon.plane, daemon.file
        )
        await server.start()
        mode = stat.S_IMODE(path.stat().st_mode)
        await server.stop()
        return mode

    assert daemon.call(start_and_stop()) == 0o600
    assert not path.exists()


def test_an_address_that_cannot_be_had_is_refused_and_left_alone(daemon, tmp_path):
    async def start(address):
        listening = [Listening("management", address)]
        server = ManagementServer(listening, daemon.catalogue, daemon.plane, daemon.file)
        try:
            await server.start()
        finally:
            await server.stop()

    with pytest.raises(Refusal, match="can't listen"):
        daemon.call(start(f"unix:{tmp_path}/no/such/folder/api.sock"))


def test_effective_options_are_those_that_the_data_plane_got(daemon, services):
    web = services.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S).service
    assert web.effective_options == effective_options(
        ServiceOptions(wscale=9), ServiceOptions(mss=1400)
    )
    spec = daemon.plane.published[0][0].options
    assert (spec.mss, spec.wscale) == (1400, 9)


def test_a_mask_without_paths_is_none(update):
    assert update(ServiceOptions(mss=1300), paths=[]).service.options.mss == 1300


def test_more_mistakes_than_a_header_holds_are_told_in_part(update):
    with pytest.raises(grpc.RpcError) as error:
        update(paths=[f"options.{'x' * 1000}{n}" for n in range(1000)])
    assert error.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    found = violations(error.value)
    assert len(found) == 16
    assert found[-1] == ("", "985 more violations are not shown")


def test_a_name_that_no_service_can_have_is_not_found_either(update):
    with pytest.raises(grpc.RpcError) as error:
        update(name="x" * 100_000)
    assert error.value.code() is grpc.StatusCode.NOT_FOUND
    assert error.value.details() == f"no service is called {'x' * 63}..."


def test_what_counters_mean_is_told_where_it_is_asked_for(daemon):
    stub = StatsServiceStub(daemon.channel)
    assert not stub.GetStats(GetStatsRequest(), timeout=CALL_S).meanings
    meanings = stub.GetStats(GetStatsRequest(meanings=True), timeout=CALL_S).meanings
    assert {one.name: one.meaning for one in meanings} == COUNTER_HELP
    assert [one.name for one in meanings] == list(COUNTERS)
