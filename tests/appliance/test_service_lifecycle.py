"""Services created, changed and deleted while others run: over gRPC, and by synproxy."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management.bounds import STREAMS_MAX

from .conftest import SLOTS
from .refused import violations

CALL_S = 10
DNS = Service(name="dns", prefixes=["192.0.2.53"], ports=["53"], options=ServiceOptions(mss=1220))
Event = api.WatchServicesResponse


@pytest.fixture
def stub(daemon):
    return ServicesServiceStub(daemon.channel)


@pytest.fixture
def create(stub):
    def call(service=DNS, **fields):
        return stub.CreateService(
            api.CreateServiceRequest(service=service, **fields), timeout=CALL_S)

    return call


@pytest.fixture
def delete(stub):
    def call(name, **fields):
        return stub.DeleteService(api.DeleteServiceRequest(name=name, **fields), timeout=CALL_S)

    return call


def names(stub):
    return [service.name for service in
            stub.ListServices(api.ListServicesRequest(), timeout=CALL_S).services]


def refused(call, code):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert error.value.code() is code
    return error.value


def test_a_created_service_is_compiled_listed_and_answered_once_acknowledged(daemon, stub, create):
    answer = create()
    assert (answer.service.name, answer.generation) == ("dns", 2)
    assert answer.service.effective_options.wscale == 9
    assert answer.apply_time.ToNanoseconds() > 0
    assert names(stub) == ["web", "mail", "dns"]
    assert [(spec.slot, spec.name) for spec in daemon.plane.published[-1]] == [
        (0, "web"), (1, "mail"), (2, "dns")]


def test_the_others_are_not_compiled_again(daemon, create):
    create()
    first, second = daemon.plane.published[-2:]
    assert all(before is after for before, after in zip(first, second[:2], strict=True))


def test_a_deleted_services_slot_is_free_once_its_connections_have_ended(
        daemon, stub, create, delete):
    daemon.plane.connections_left = 5
    answer = delete("web")
    assert (answer.service.name, answer.generation) == ("web", 2)
    listed = stub.ListServices(api.ListServicesRequest(), timeout=CALL_S)
    assert [service.name for service in listed.services] == ["mail"]
    assert [(left.name, left.connections) for left in listed.leaving] == [("web", 5)]
    create()
    assert [spec.slot for spec in daemon.plane.published[-1]] == [1, 2]
    daemon.plane.left[0] = 0
    create(Service(name="ntp", prefixes=["192.0.2.123"], ports=["123"]))
    assert [spec.slot for spec in daemon.plane.published[-1]] == [1, 2, 3]
    create(Service(name="web", prefixes=["192.0.2.80"], ports=["80"]))
    assert [spec.slot for spec in daemon.plane.published[-1]] == [1, 2, 3, 0]


def test_what_has_left_is_forgotten_by_time_alone(daemon, stub, delete, monkeypatch):
    monkeypatch.setattr("appliance.management.catalogue.TIDY_S", 0.01)
    daemon.plane.connections_left = 1
    delete("web")
    tidying = daemon.spawn(daemon.catalogue.tidy())
    daemon.plane.left[0] = 0
    until(lambda: not daemon.plane.left, seconds=CALL_S, what="the slot to be forgotten")
    listed = stub.ListServices(api.ListServicesRequest(), timeout=CALL_S)
    assert (list(listed.leaving), listed.generation) == ([], 3)
    tidying.cancel()


def test_no_more_services_than_there_are_slots(create, daemon, delete):
    for n in range(SLOTS - 2):
        create(Service(name=f"s{n}", prefixes=[f"198.51.100.{n}"], ports=["80"]))
    error = refused(create, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert error.details().startswith(
        "limits.services is 4: there are 4 services, and 0 whose connections go on, and 1 would")
    daemon.plane.connections_left = 1
    delete("s0")
    error = refused(create, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert error.details().startswith(
        "limits.services is 4: there are 3 services, and 1 whose connections go on, and 1 would")


@pytest.mark.parametrize(("changes", "expected"), [
    ({"name": ""}, ("service.name", "is required")),
    ({"name": "Web_1"}, ("service.name", None)),
    ({"prefixes": []}, ("service.prefixes", "is required")),
    ({"ports": ["0"]}, ("service.ports[0]", None)),
    ({"ports": ["53", "50-60"]}, ("service.ports[0]", None)),
    ({"prefixes": ["192.0.2.53", "192.0.2.53/32"]},
     ("service.prefixes[1]", "192.0.2.53/32 stands twice")),
    ({"prefixes": ["192.0.2.25"], "ports": ["20-30"]},
     ("service.prefixes[0]", "192.0.2.25/32 with port 25 belongs to mail already")),
    ({"options": ServiceOptions(mss=1)},
     ("service.options.mss", "must be 536..8960 bytes, not 1")),
])
def test_what_cannot_be_created_is_named_by_its_field(daemon, create, changes, expected):
    fields = {"name": "dns", "prefixes": ["192.0.2.53"], "ports": ["53"]} | changes
    error = refused(lambda: create(Service(**fields)), grpc.StatusCode.INVALID_ARGUMENT)
    (path, reason), *_ = violations(error)
    assert path == expected[0]
    assert expected[1] in (None, reason)
    assert len(daemon.plane.published) == 1


def test_a_name_is_taken_once(create):
    create()
    assert refused(create, grpc.StatusCode.ALREADY_EXISTS).details() == "dns exists already"


def test_what_the_daemon_says_of_a_service_is_ignored_in_a_request(create, stub):
    said = Service(effective_options=ServiceOptions(mss=9), etag="nonsense")
    said.MergeFrom(DNS)
    created = create(said).service
    assert created.effective_options.mss == 1220
    assert created.etag != "nonsense"


@pytest.mark.parametrize("fields", [
    {"prefixes": ["192.0.2.80", "2001:db8::80"]}, {"ports": ["443"]},
    {"prefixes": ["192.0.2.80"], "ports": ["80", "443"]}])
@pytest.mark.parametrize("masked", [True, False])
def test_prefixes_and_ports_change_while_it_runs(daemon, stub, fields, masked):
    answer = stub.UpdateService(api.UpdateServiceRequest(
        service=Service(name="web", **fields),
        update_mask=FieldMask(paths=list(fields)) if masked else None), timeout=CALL_S)
    for path, values in fields.items():
        assert list(getattr(answer.service, path)) == values
    assert answer.service.options == ServiceOptions(mss=1400)
    assert len(daemon.plane.published[-1][0].ports) == len(answer.service.ports)


def test_a_service_may_take_what_another_has_given_up(stub, create):
    taking = Service(name="smtp", prefixes=["192.0.2.25"], ports=["25"])
    refused(lambda: create(taking), grpc.StatusCode.INVALID_ARGUMENT)
    stub.UpdateService(api.UpdateServiceRequest(
        service=Service(name="mail", ports=["587"])), timeout=CALL_S)
    create(taking)
    refused(lambda: stub.UpdateService(api.UpdateServiceRequest(
        service=Service(name="mail", ports=["25"])), timeout=CALL_S),
        grpc.StatusCode.INVALID_ARGUMENT)


def test_an_etag_changes_with_what_is_set_and_with_nothing_else(stub, create, delete):
    first = create().service
    read = stub.GetService(api.GetServiceRequest(name="dns"), timeout=CALL_S).service
    assert read.etag == first.etag
    stub.UpdateService(api.UpdateServiceRequest(
        service=Service(name="web", options=ServiceOptions(mss=1000))), timeout=CALL_S)
    assert stub.GetService(api.GetServiceRequest(name="dns"), timeout=CALL_S).service == read
    changed = stub.UpdateService(api.UpdateServiceRequest(service=Service(
        name="dns", etag=read.etag, options=ServiceOptions(mss=1300))), timeout=CALL_S).service
    assert changed.etag != read.etag
    for call in (
        lambda: stub.UpdateService(api.UpdateServiceRequest(service=Service(
            name="dns", etag=read.etag, options=ServiceOptions(mss=1400))), timeout=CALL_S),
        lambda: delete("dns", etag=read.etag),
    ):
        error = refused(call, grpc.StatusCode.ABORTED)
        assert "dns has changed since it had the etag" in error.details()
    delete("dns", etag=changed.etag)


def test_of_writers_with_one_etag_one_wins_each_round(stub):
    def raise_mss(writer):
        web = stub.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S).service
        wanted = Service(name="web", etag=web.etag,
                         options=ServiceOptions(mss=web.options.mss + 1))
        call = stub.UpdateService.future(
            api.UpdateServiceRequest(service=wanted), timeout=CALL_S)
        return call.code()

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(raise_mss, range(160)))
    won = codes.count(grpc.StatusCode.OK)
    assert codes.count(grpc.StatusCode.ABORTED) == len(codes) - won
    web = stub.GetService(api.GetServiceRequest(name="web"), timeout=CALL_S).service
    assert web.options.mss == 1400 + won
    assert won >= 20


@pytest.mark.parametrize("call", ["create", "delete"])
def test_validate_only_answers_as_if(daemon, stub, create, delete, call):
    answer = (create(validate_only=True) if call == "create"
              else delete("web", validate_only=True))
    assert answer.generation == 0
    assert names(stub) == ["web", "mail"]
    assert len(daemon.plane.published) == 1


@pytest.mark.parametrize("call", ["create", "delete"])
def test_a_data_plane_that_refuses_leaves_all_as_it_was(daemon, stub, create, delete, call):
    daemon.plane.failing = True
    refused(
        create if call == "create" else lambda: delete("web"), grpc.StatusCode.RESOURCE_EXHAUSTED)
    daemon.plane.failing = False
    assert names(stub) == ["web", "mail"]
    create()
    delete("web")


def test_deleting_what_is_not_there(delete):
    assert refused(lambda: delete("nope"), grpc.StatusCode.NOT_FOUND).details() == (
        "no service is called nope")
    assert violations(refused(lambda: delete(""), grpc.StatusCode.INVALID_ARGUMENT)) == [
        ("name", "is required")]


# Watching.

class Watch:
    """A stream read in a thread of its own."""

    def __init__(self, stub):
        self.events = []
        self.stream = stub.WatchServices(api.WatchServicesRequest())
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self):
        try:
            for event in self.stream:
                self.events.append((event.kind, event.service.name))
        except grpc.RpcError:
            return

    def until(self, *event):
        until(lambda: event in self.events, seconds=CALL_S, what=f"{event} in {self.events}")

    def close(self):
        self.stream.cancel()
        self._thread.join()


@pytest.fixture
def watch(stub):
    watch = Watch(stub)
    watch.until(Event.KIND_END_OF_EXISTING, "")
    yield watch
    watch.close()


def test_a_watch_tells_what_is_there_then_each_change(watch, stub, create, delete):
    create()
    stub.UpdateService(api.UpdateServiceRequest(
        service=Service(name="web", options=ServiceOptions(mss=1000))), timeout=CALL_S)
    delete("dns")
    watch.until(Event.KIND_DELETED, "dns")
    assert watch.events == [
        (Event.KIND_EXISTING, "web"), (Event.KIND_EXISTING, "mail"),
        (Event.KIND_END_OF_EXISTING, ""), (Event.KIND_CREATED, "dns"),
        (Event.KIND_UPDATED, "web"), (Event.KIND_DELETED, "dns")]


def test_a_watch_that_ends_leaves_nothing(daemon, stub):
    Watch(stub).close()
    until(lambda: len(daemon.catalogue.watchers) == 0, seconds=CALL_S, what="the watcher to go")


def test_there_is_a_bound_on_watches(daemon, stub, monkeypatch):
    monkeypatch.setitem(STREAMS_MAX, "/synproxy.v1.ServicesService/WatchServices", 1)
    first = Watch(stub)
    first.until(Event.KIND_END_OF_EXISTING, "")
    refused(lambda: next(iter(stub.WatchServices(api.WatchServicesRequest(), timeout=CALL_S))),
            grpc.StatusCode.RESOURCE_EXHAUSTED)
    first.close()


# By hand.

def test_synproxy_creates_changes_and_deletes(synproxy, stub):
    made = synproxy("service", "create", "dns", "--prefix", "192.0.2.53", "--port", "53",
                    "--port", "853", "mss=1220")
    assert made.stdout.startswith("dns: 192.0.2.53 ports 53 853; all workers run generation 2")
    changed = synproxy("service", "set", "dns", "--port", "53", "wscale=3").stdout.splitlines()
    assert [line.split() for line in changed[:3]] == [
        ["OPTION", "BEFORE", "AFTER"], ["ports", "53", "853", "53"], ["wscale", "9", "3"]]
    gone = synproxy("service", "delete", "dns")
    assert gone.stdout.startswith("dns: all workers run generation 4")
    assert names(stub) == ["web", "mail"]


def test_synproxy_tells_what_leaves(synproxy, daemon):
    daemon.plane.connections_left = 7
    synproxy("service", "delete", "web")
    assert synproxy("service", "list").stdout.splitlines()[-1] == "leaving: web, connections 7"


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (("create", "web", "--prefix", "192.0.2.99", "--port", "1"), ExitCode.CONFLICT,
     "web exists already"),
    (("create", "dns", "--prefix", "192.0.2.0/33", "--port", "53"), ExitCode.INVALID,
     "service.prefixes[0]: "),
    (("create", "dns"), ExitCode.INVALID, "service.prefixes: is required"),
    (("set", "web", "--etag", "old", "mss=1300"), ExitCode.CONFLICT, "read it again"),
    (("delete", "web", "--etag", "old"), ExitCode.CONFLICT, "read it again"),
    (("delete", "nope"), ExitCode.NOT_FOUND, "no service is called nope"),
])
def test_synproxy_says_why_not(synproxy, arguments, code, words):
    result = synproxy("service", *arguments)
    assert (result.exit_code, result.stdout) == (code, "")
    assert words in result.stderr


def test_synproxy_validates_and_changes_nothing(synproxy, stub):
    result = synproxy("service", "delete", "web", "--validate-only")
    assert result.stdout == "web: valid; nothing was changed\n"
    assert names(stub) == ["web", "mail"]
