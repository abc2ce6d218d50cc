"""The configuration as a whole over gRPC: applied at once, confirmed or taken back, rolled back."""

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1 import services_service_pb2
from synproxy.v1.config_pb2 import Config
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.config.load import config_load
from appliance.lab.waiting import until
from appliance.management import catalogue as catalogues
from appliance.state import folder as folders
from appliance.state.folder import file_name

from .conftest import SERVICES, Daemon
from .daemon_process import as_root
from .disks import fill
from .test_management import violations

CALL_S = 10


class Client:
    def __init__(self, channel):
        self.config = ConfigServiceStub(channel)
        self.services = ServicesServiceStub(channel)

    def get(self, revision=0):
        return self.config.GetConfig(api.GetConfigRequest(revision=revision), timeout=CALL_S)

    def diff(self, revision=0):
        return self.config.DiffConfig(api.DiffConfigRequest(revision=revision), timeout=CALL_S)

    def apply(self, services, mss=None, within_s=None, timeout=CALL_S, **fields):
        config = fields.pop("config", Config())
        config.services.extend(services)
        if mss:
            config.defaults.mss = mss
        return self.config.ApplyConfig(api.ApplyConfigRequest(
            config=config, confirm_within=Duration(seconds=within_s) if within_s else None,
            **fields), timeout=timeout)

    def confirm(self, revision=0):
        return self.config.ConfirmConfig(
            api.ConfirmConfigRequest(revision=revision), timeout=CALL_S).revision

    def rollback(self, revision, within_s=None, **fields):
        return self.config.RollbackConfig(api.RollbackConfigRequest(
            revision=revision, confirm_within=Duration(seconds=within_s) if within_s else None,
            **fields), timeout=CALL_S)

    def revisions(self, **fields):
        return self.config.ListRevisions(api.ListRevisionsRequest(**fields), timeout=CALL_S)

    def set(self, name="web", mss=1300, timeout=CALL_S):
        return self.services.UpdateService(services_service_pb2.UpdateServiceRequest(
            service=Service(name=name, options=ServiceOptions(mss=mss))), timeout=timeout)

    def running(self):
        return self.get().config.services


def service(name, number, port="80", **options):
    return Service(name=name, prefixes=[f"198.51.100.{number}"], ports=[port],
                   options=ServiceOptions(**options) if options else None)


@pytest.fixture
def client(daemon):
    return Client(daemon.channel)


@pytest.fixture
def kept(tmp_path, state):
    """A daemon with a folder of revisions; called again, it is started again."""
    with ExitStack() as running:

        def start(meanwhile=lambda: None):
            running.close()
            meanwhile()
            daemon = running.enter_context(Daemon(tmp_path / "api.sock", state=state))
            return daemon, Client(daemon.channel)

        yield start


def refused(call, code, words=""):
    with pytest.raises(grpc.RpcError) as error:
        call()
    assert (error.value.code(), words in error.value.details()) == (code, True), error.value
    return error.value


def specs(daemon):
    return {spec.name: spec for spec in daemon.plane.published[-1]}


# What runs.

def test_what_runs_is_the_file_and_what_was_changed_since(daemon, client):
    answer = client.get()
    assert answer.config == config_load(daemon.path)
    assert (answer.revision.number, answer.revision.by) == (1, f"file {daemon.path}")
    assert (answer.file.path, answer.file.taken) == (str(daemon.path), True)
    assert (answer.state_folder.path, answer.state_folder.persistent) == ("", False)
    client.set(mss=1300)
    again = client.get()
    assert again.config.services[0].options.mss == 1300
    assert again.revision.number == 2
    assert again.etag != answer.etag
    former = client.get(revision=1).config
    assert former.services == answer.config.services
    assert not former.HasField("ports")


def test_the_new_set_is_one_snapshot(daemon, client):
    watcher = client.services.WatchServices(services_service_pb2.WatchServicesRequest())
    seen = [next(watcher) for _ in range(3)]
    before = specs(daemon)
    web = client.running()[0]
    answer = client.apply([service("dns", 53, "53"), web])
    assert [len(published) for published in daemon.plane.published] == [2, 2]
    assert answer.generation == 2
    assert answer.apply_time.ToNanoseconds() > 0
    after = specs(daemon)
    # What is gone may have connections: its slot is nobody else's.
    assert {name: spec.slot for name, spec in after.items()} == {"dns": 2, "web": 0}
    # The defaults, wscale 9, are gone as well.
    assert (before["web"].options.wscale, after["web"].options.wscale) == (9, 7)
    assert [(one.resource, one.field) for one in answer.differences] == [
        ("defaults", "wscale"),
        *(("services/dns", field) for field in ("name", "prefixes", "ports")),
        *(("services/mail", field) for field in ("name", "prefixes", "ports")),
    ]
    events = services_service_pb2.WatchServicesResponse
    seen = [next(watcher) for _ in range(3)]
    assert {(one.kind, one.service.name) for one in seen} == {
        (events.KIND_DELETED, "mail"), (events.KIND_CREATED, "dns"), (events.KIND_UPDATED, "web")}
    watcher.cancel()


def test_what_does_not_change_is_not_compiled_again(daemon, client):
    config = client.get().config
    config.services[1].options.mss = 1000
    client.apply([], config=config)
    first, second = daemon.plane.published
    assert first[0] is second[0]
    assert first[1] is not second[1]


def test_the_same_again_is_no_revision(daemon, client):
    answer = client.apply([], config=client.get().config)
    assert (answer.generation, answer.HasField("revision"), len(answer.differences)) == (
        0, False, 0)
    assert len(daemon.plane.published) == 1


def test_validate_only_changes_nothing(daemon, client):
    answer = client.apply([service("dns", 53)], validate_only=True)
    assert len(answer.differences) == 3 + 4 + 3 + 1
    assert (answer.generation, answer.HasField("revision")) == (0, False)
    assert len(daemon.plane.published) == 1
    assert client.get().revision.number == 1


@pytest.mark.parametrize(("services", "path", "reason"), [
    ([service("dns", 53, mss=1)], "services[0].options.mss", "must be 536..8960 bytes, not 1"),
    ([service("a", 1), service("a", 2)], "services[1].name", "a is the name of services[0], too"),
    ([service("a", 1), service("b", 1)], "services[1].prefixes[0]",
     "198.51.100.1/32 with port 80 belongs to a already"),
    ([Service(name="a")], "services[0].prefixes", "is required"),
    ([service(f"s{n}", n) for n in range(5)], "services", "5 services; limits.services is 4"),
])
def test_what_is_wrong_is_named_and_nothing_applied(daemon, client, services, path, reason):
    error = refused(lambda: client.apply(services), grpc.StatusCode.INVALID_ARGUMENT)
    assert violations(error)[0] == (path, reason)
    assert len(daemon.plane.published) == 1


def test_without_room_for_what_still_has_connections_nothing_is_applied(daemon, client):
    daemon.plane.connections = 1
    refused(lambda: client.apply([service(f"s{n}", n) for n in range(3)]),
            grpc.StatusCode.RESOURCE_EXHAUSTED, "limits.services is 4")
    assert len(daemon.plane.published) == 1


@pytest.mark.parametrize(("change", "words"), [
    (lambda config: setattr(config.limits, "connections", 2048),
     "limits.connections: 1048576 -> 2048 takes a restart"),
    (lambda config: config.workers.lcores.append(3), "workers.lcores: 1 -> 3 takes a restart"),
    (lambda config: setattr(config.management, "metrics_address", "127.0.0.1:9"),
     "management.metrics_address: unset -> 127.0.0.1:9 takes a restart"),
    (lambda config: setattr(config.ports.client, "device", "net_ring7"),
     "ports.client.device: net_ring0 -> net_ring7 takes a restart"),
])
def test_what_takes_a_restart_is_named_and_nothing_applied(daemon, client, change, words):
    config = client.get().config
    config.services[0].options.mss = 1000
    change(config)
    refused(lambda: client.apply([], config=config), grpc.StatusCode.FAILED_PRECONDITION, words)
    assert len(daemon.plane.published) == 1


def test_what_is_written_as_its_default_takes_no_restart(client):
    config = client.get().config
    config.limits.connections = 1048576
    config.services[0].options.mss = 1000
    assert client.apply([], config=config).generation == 2


# Who comes first.

def test_an_etag_keeps_two_from_undoing_each_other(client):
    etag = client.get().etag
    assert client.apply([service("a", 1)], etag=etag).revision.number == 2
    for call in (
        lambda: client.apply([service("b", 1)], etag=etag),
        lambda: client.rollback(1, etag=etag),
        lambda: client.apply([service("b", 1)], etag="nonsense", validate_only=True),
    ):
        refused(call, grpc.StatusCode.ABORTED, "revision 2 runs")
    client.set("a")
    refused(lambda: client.apply([service("b", 1)], etag=etag), grpc.StatusCode.ABORTED)
    assert client.apply([service("b", 1)], etag=client.get().etag).revision.number == 4


def test_of_many_at_a_time_one_wins_and_the_others_are_told(client):
    etag = client.get().etag

    def one(number):
        try:
            return client.apply([service(f"s{number}", number)], etag=etag).revision.number
        except grpc.RpcError as error:
            return error.code()

    with ThreadPoolExecutor(8) as pool:
        ends = list(pool.map(one, range(16)))
    assert ends.count(2) == 1
    assert ends.count(grpc.StatusCode.ABORTED) == 15


# History.

def test_history_says_who_when_what(daemon, client):
    began_s = time.time()
    client.set(mss=1300)
    client.services.DeleteService(
        services_service_pb2.DeleteServiceRequest(name="mail"), timeout=CALL_S)
    gone, changed, first = client.revisions().revisions
    assert (changed.number, changed.by, changed.action) == (
        2, daemon.address, "ServicesService/UpdateService")
    assert [(d.resource, d.field, d.before, d.after) for d in changed.differences] == [
        ("services/web", "options.mss", "1400", "1300")]
    assert began_s - 1 < changed.create_time.ToMilliseconds() / 1000 < began_s + 60
    assert (gone.action, gone.differences[0].HasField("after")) == (
        "ServicesService/DeleteService", False)
    assert (first.action, first.differences_total) == ("start", 2 * 3 + 2)


def test_a_long_change_is_told_in_part(client):
    options = {"mss": 1000, "mss_ipv6": 1300, "sack": False, "wscale": 3, "ecn": True,
               "timestamps": False, "syn_retries": 2}
    client.apply([service(f"s{n}", n, **options) for n in range(2)])
    revision = client.revisions().revisions[0]
    assert (len(revision.differences), revision.differences_total) == (20, 1 + 2 * 10 + 4 + 3)


def test_history_comes_in_pages(client):
    for mss in range(1000, 1006):
        client.set(mss=mss)
    numbers, token = [], ""
    while True:
        page = client.revisions(page_size=3, page_token=token)
        numbers.append([one.number for one in page.revisions])
        token = page.next_page_token
        if not token:
            break
    assert numbers == [[7, 6, 5], [4, 3, 2], [1]]


@pytest.mark.parametrize(("fields", "path"), [
    ({"page_size": -1}, "page_size"), ({"page_token": "x"}, "page_token"),
    ({"page_token": "-1"}, "page_token"), ({"page_token": "٣"}, "page_token"),
    ({"page_token": "9" * 400}, "page_token"),
])
def test_a_page_that_cannot_be_is_refused(client, fields, path):
    error = refused(lambda: client.revisions(**fields), grpc.StatusCode.INVALID_ARGUMENT)
    assert violations(error)[0][0] == path


def test_a_rollback_is_a_new_revision_by_number(daemon, client):
    client.set(mss=1300)
    client.apply([service("a", 1)])
    answer = client.rollback(2)
    assert (answer.revision.number, answer.revision.action) == (4, "ConfigService/RollbackConfig")
    assert [one.name for one in client.running()] == ["web", "mail"]
    assert client.running()[0].options.mss == 1300
    assert client.get().config.defaults.wscale == 9
    assert {name: spec.slot for name, spec in specs(daemon).items()} == {"web": 0, "mail": 1}


def test_what_comes_back_has_the_place_that_it_has_not_left_yet(daemon, client):
    daemon.plane.connections = 3
    client.apply([service(f"s{n}", n) for n in range(2)])
    answer = services_service_pb2.ListServicesRequest()
    assert len(client.services.ListServices(answer, timeout=CALL_S).leaving) == 2
    client.rollback(1)      # four places, and all are taken
    assert {name: spec.slot for name, spec in specs(daemon).items()} == {"web": 0, "mail": 1}


def test_a_revision_that_there_is_not_is_not_found(client):
    for call in (lambda: client.rollback(99), lambda: client.get(99), lambda: client.diff(99)):
        refused(call, grpc.StatusCode.NOT_FOUND, "there is no revision 99, or not any more")
    error = refused(lambda: client.rollback(0), grpc.StatusCode.INVALID_ARGUMENT)
    assert violations(error) == [("revision", "is required")]


# What differs.

def test_the_difference_to_the_file(daemon, client):
    assert client.diff() == api.DiffConfigResponse()
    client.set(mss=1300)
    (one,) = client.diff().differences
    assert (one.resource, one.field, one.before, one.after) == (
        "services/web", "options.mss", "1300", "1400")
    daemon.path.write_text(daemon.path.read_text().replace("net_ring0", "net_ring5"))
    (restart,) = client.diff().restart_differences
    assert (restart.field, restart.after) == ("ports.client.device", "net_ring5")


def test_the_difference_to_a_revision(client):
    client.set(mss=1300)
    (one,) = client.diff(1).differences
    assert (one.before, one.after) == ("1300", "1400")


def test_a_file_with_a_mistake_has_no_difference_but_a_reason(daemon, client):
    daemon.path.write_text("services: 7\n")
    refused(client.diff, grpc.StatusCode.FAILED_PRECONDITION, f"{daemon.path}:1:11: services: ")
    daemon.path.unlink()
    refused(client.diff, grpc.StatusCode.FAILED_PRECONDITION, "can't be read: No such file")
    daemon.path.write_text("".join(f"k{number}: 1\n" for number in range(1000)))
    refused(client.diff, grpc.StatusCode.FAILED_PRECONDITION, "unknown key")


# Confirmation.

def test_what_is_not_confirmed_in_time_is_taken_back(daemon, client):
    answer = client.apply([service("a", 1)], within_s=1)
    assert (answer.revision.rollback_revision, answer.revision.confirm_within.seconds) == (1, 1)
    assert [one.name for one in client.running()] == ["a"]
    until(lambda: client.get().revision.number == 3, seconds=5, what="the former revision")
    assert [one.name for one in client.running()] == ["web", "mail"]
    assert client.get().config.defaults.wscale == 9
    newest = client.revisions().revisions[0]
    assert (newest.by, newest.action) == (
        "daemon", "rollback: revision 2 was not confirmed in 1s")
    line = daemon.lines(2)[1]
    assert (line["audit"], line["by"], line["method"]) == ("changed", newest.by, newest.action)
    assert line["resources"]["services/a"]["prefixes"] == ["198.51.100.1", None]
    assert client.set(mss=1300).generation == 4


def test_what_is_confirmed_stays(daemon, client):
    client.apply([service("a", 1)], within_s=1)
    confirmed = client.confirm(2)
    assert (confirmed.number, confirmed.confirmed_by) == (2, daemon.address)
    assert confirmed.HasField("confirm_time")
    time.sleep(1.2)
    assert [one.name for one in client.running()] == ["a"]
    assert client.revisions().revisions[0] == confirmed
    line = daemon.lines(2)[1]
    assert (line["audit"], line["method"]) == (
        "changed", "synproxy.v1.ConfigService/ConfirmConfig")
    assert line["resources"] == {"revisions/2": {"confirmed_by": [None, daemon.address]}}
    refused(client.confirm, grpc.StatusCode.FAILED_PRECONDITION, "no revision waits")


def test_meanwhile_others_wait(daemon, client):
    client.apply([service("a", 1)], within_s=60)
    create = services_service_pb2.CreateServiceRequest(service=service("b", 2))
    delete = services_service_pb2.DeleteServiceRequest(name="a")
    for call in (
        lambda: client.set("a"), lambda: client.apply([service("b", 1)]),
        lambda: client.services.CreateService(create, timeout=CALL_S),
        lambda: client.services.DeleteService(delete, timeout=CALL_S),
    ):
        refused(call, grpc.StatusCode.FAILED_PRECONDITION, "revision 2 waits")
    refused(lambda: client.confirm(1), grpc.StatusCode.ABORTED, "revision 2 waits, not 1")
    assert len(daemon.plane.published) == 2
    client.confirm()
    client.set("a")


def test_a_rollback_ends_the_wait(daemon, client):
    client.set(mss=1300)
    client.apply([service("a", 1)], within_s=1)
    client.rollback(2)
    assert client.running()[0].options.mss == 1300
    time.sleep(1.2)
    assert client.get().revision.number == 4
    client.set(mss=1200)


def test_a_rollback_may_have_to_be_confirmed_too(client):
    client.set(mss=1300)
    client.rollback(1, within_s=1)
    until(lambda: client.get().revision.number == 4, seconds=5, what="the former revision")
    assert client.running()[0].options.mss == 1300


@pytest.mark.parametrize("within", [
    Duration(seconds=0), Duration(seconds=-1), Duration(seconds=86401), Duration(nanos=1000)])
def test_the_time_has_bounds(client, within):
    for method, request in (
        (client.config.ApplyConfig, api.ApplyConfigRequest(confirm_within=within)),
        (client.config.RollbackConfig, api.RollbackConfigRequest(
            revision=1, confirm_within=within)),
    ):
        error = refused(lambda method=method, request=request: method(request, timeout=CALL_S),
                        grpc.StatusCode.INVALID_ARGUMENT)
        assert violations(error)[0][0] == "confirm_within"


def test_a_caller_that_goes_away_leaves_the_wait_and_its_end(daemon, client):
    daemon.plane.stuck = True
    refused(lambda: client.apply([service("a", 1)], within_s=1, timeout=0.3),
            grpc.StatusCode.DEADLINE_EXCEEDED)
    daemon.plane.stuck = False
    until(lambda: client.get().revision.number == 3, seconds=5, what="the former revision")
    assert [one.name for one in client.running()] == ["web", "mail"]


def test_what_is_confirmed_at_the_last_moment_stays(daemon, client):
    client.apply([service("a", 1)], within_s=60)
    waiting = daemon.catalogue.history.waiting
    client.confirm()
    daemon.call(daemon.confirmation._bring_back(waiting))
    assert [one.name for one in client.running()] == ["a"]
    assert len(daemon.lines(2)) == 2


def test_a_stuck_worker_does_not_keep_the_former_revision_from_coming_back(
    daemon, client, monkeypatch
):
    client.apply([service("a", 1)], within_s=1)
    monkeypatch.setattr(catalogues, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    daemon.plane.stuck = True
    line = daemon.lines(2)[1]
    assert (line["audit"], line["by"]) == ("changed", "daemon")
    assert "generation 3 is published" in line["message"]
    assert [one.name for one in client.running()] == ["web", "mail"]


def test_a_data_plane_that_refuses_the_way_back_is_asked_again(daemon, client):
    client.apply([service("a", 1)], within_s=1)
    daemon.plane.failing = True
    lines = daemon.lines(2)
    assert (lines[1]["audit"], lines[1]["by"]) == ("failed", "daemon")
    daemon.plane.failing = False
    until(lambda: client.get().revision.by == "daemon", seconds=5, what="the former revision")


# What survives.

def test_changes_survive_a_restart(kept):
    _, client = kept()
    client.set(mss=1300)
    client.apply([*client.running(), service("a", 1)])
    daemon, client = kept()
    assert [one.name for one in client.running()] == ["web", "mail", "a"]
    assert client.running()[0].options.mss == 1300
    assert (client.get().revision.number, daemon.begun.notices) == (3, [])
    assert client.get().state_folder.persistent
    assert client.rollback(1).revision.number == 4
    _, client = kept()
    assert [one.name for one in client.running()] == ["web", "mail"]


def test_a_restart_without_a_change_is_no_revision(kept, state):
    for _ in range(3):
        kept()
    assert [path.name for path in state.iterdir()] == [file_name(1)]


def test_a_restart_within_the_window_takes_it_back_and_says_so(kept):
    _, client = kept()
    client.set(mss=1300)
    client.apply([service("a", 1)], within_s=600)
    daemon, client = kept()
    assert [one.name for one in client.running()] == ["web", "mail"]
    assert client.running()[0].options.mss == 1300
    newest = client.revisions().revisions[0]
    assert (newest.number, newest.by, newest.action) == (
        4, "daemon", "start: revision 3 was not confirmed")
    assert daemon.begun.notices == [
        "revision 3 was not confirmed before the daemon ended; revision 2 is back"]
    refused(client.confirm, grpc.StatusCode.FAILED_PRECONDITION)
    _, client = kept()
    assert client.get().revision.number == 4


def test_a_confirmation_survives_a_restart(kept):
    _, client = kept()
    client.apply([service("a", 1)], within_s=600)
    client.confirm()
    _, client = kept()
    assert [one.name for one in client.running()] == ["a"]


def test_a_torn_revision_is_shown_and_the_last_good_one_runs(kept, state):
    _, client = kept()
    client.set(mss=1300)
    client.set(mss=1200)
    path = state / file_name(3)
    daemon, client = kept(lambda: path.write_bytes(path.read_bytes()[:-1]))
    assert client.running()[0].options.mss == 1300
    assert list(client.get().state_folder.notices) == daemon.begun.notices
    assert str(path) in daemon.begun.notices[0]
    path = state / file_name(1)
    path.write_bytes(b"")
    refused(lambda: client.rollback(1), grpc.StatusCode.DATA_LOSS, "the file of revision 1 is torn")


@as_root
def test_a_change_that_cannot_be_kept_is_refused_and_half_of_it_nowhere(kept, small_disk):
    daemon, client = kept()
    fill(small_disk)
    for call in (client.set, lambda: client.apply([service("a", 1)])):
        refused(call, grpc.StatusCode.RESOURCE_EXHAUSTED, "No space left on device")
    assert len(daemon.plane.published) == 1
    assert client.get().revision.number == 1
    assert "No space left on device" in client.get().state_folder.notices[0]
    assert daemon.lines(1)[0]["audit"] == "failed"
    (small_disk / "ballast").unlink()
    assert client.set().service.options.mss == 1300
    _, client = kept()
    assert client.running()[0].options.mss == 1300


@as_root
def test_the_way_back_needs_no_disk(kept, small_disk):
    _daemon, client = kept()
    client.apply([service("a", 1)], within_s=1)
    fill(small_disk)
    refused(client.confirm, grpc.StatusCode.RESOURCE_EXHAUSTED)
    until(lambda: client.get().revision.by == "daemon", seconds=5, what="the former revision")
    assert [one.name for one in client.running()] == ["web", "mail"]
    assert not client.get().state_folder.persistent
    # A daemon that is killed now has an unconfirmed revision on disk, and takes it back again.
    _, client = kept()
    assert [one.name for one in client.running()] == ["web", "mail"]


def test_what_the_data_plane_refuses_is_not_kept(kept, state):
    daemon, client = kept()
    daemon.plane.failing = True
    refused(client.set, grpc.StatusCode.UNAVAILABLE)
    refused(lambda: client.apply([service("a", 1)]), grpc.StatusCode.UNAVAILABLE)
    assert [path.name for path in state.iterdir()] == [file_name(1)]
    _, client = kept()
    assert client.running()[0].options.mss == 1400
    assert [one.number for one in client.revisions().revisions] == [1]


def test_a_caller_that_goes_away_while_the_disk_writes_parts_nothing(kept, monkeypatch):
    """It is on disk and published, or neither."""
    daemon, client = kept()
    write = folders.Folder.write

    def slow(self, record):
        time.sleep(0.5)
        return write(self, record)

    monkeypatch.setattr(folders.Folder, "write", slow)
    refused(lambda: client.set(timeout=0.1), grpc.StatusCode.DEADLINE_EXCEEDED)
    until(lambda: len(daemon.plane.published) == 2, seconds=5, what="the change")
    assert client.get().revision.number == 2
    (line,) = daemon.lines(1)
    assert (line["audit"], line["code"]) == ("changed", "CANCELLED")
    assert client.get().revision.by == daemon.address


def test_others_are_answered_while_the_disk_writes(kept, monkeypatch):
    _, client = kept()
    write = folders.Folder.write

    def slow(self, record):
        time.sleep(1)
        return write(self, record)

    monkeypatch.setattr(folders.Folder, "write", slow)
    with ThreadPoolExecutor(1) as pool:
        change = pool.submit(client.set)
        time.sleep(0.1)
        began_s = time.monotonic()
        client.get()
        assert time.monotonic() - began_s < 0.5
        assert change.result().generation == 2


def test_a_stuck_worker_is_told_and_the_revision_is_there(kept, monkeypatch):
    monkeypatch.setattr(catalogues, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    daemon, client = kept()
    daemon.plane.stuck = True
    refused(lambda: client.apply([service("a", 1)]), grpc.StatusCode.UNAVAILABLE, "is published")
    assert client.get().revision.number == 2


def test_revisions_are_bounded_by_the_configuration(tmp_path, state):
    text = SERVICES + "eal: {}\n"
    with Daemon(tmp_path / "api.sock", state=state, text=text) as daemon:
        client = Client(daemon.channel)
        for mss in range(1000, 1110):
            client.set(mss=mss)
        assert len(client.revisions(page_size=1000).revisions) == 100
        assert len(list(state.iterdir())) == 100
