"""The configuration as a whole over gRPC: applied at once, compared, rolled back."""

import asyncio
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import grpc
import pytest
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1 import services_service_pb2
from synproxy.v1.config_service_pb2_grpc import ConfigServiceStub
from synproxy.v1.revision_pb2 import Difference
from synproxy.v1.service_pb2 import Service

from appliance.config.load import config_load
from appliance.management.config import _told

from .config_client import CALL_S, refused, service, specs
from .refused import violations

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


def test_others_are_served_while_a_long_configuration_is_put_together(daemon, monkeypatch):
    monkeypatch.setattr("appliance.management.config.STEP", 1)

    async def turns():
        """Of the event loop, as another call has them meanwhile."""
        asking = asyncio.ensure_future(daemon.server._config.GetConfig(
            api.GetConfigRequest(), cast(grpc.aio.ServicerContext, None)))
        count = 0
        while not asking.done():
            await asyncio.sleep(0)
            count += 1
        assert [one.name for one in asking.result().config.services] == ["web", "mail"]
        return count

    assert daemon.call(turns()) > 2      # a step for each service


CHANGES = {
    "apply": lambda daemon, client: client.apply([service("dns", 53)]),
    "diff": lambda daemon, client: client.diff(),
    "reload": lambda daemon, client: daemon.call(daemon.reloader.reload("SIGHUP")),
    "rollback": lambda daemon, client: client.rollback(1),
}


@pytest.mark.parametrize("change", CHANGES)
def test_others_are_served_while_all_services_are_compared(daemon, client, monkeypatch, change):
    """Of thousands a copy, a comparison or a list of what differs holds up nobody's call."""
    client.set(mss=1300)
    daemon.path.write_text(daemon.path.read_text().replace("1400", "1200"))
    threads: dict[str, set[threading.Thread]] = {}

    def noted(name):
        module, _, function = name.rpartition(".")
        work = getattr(sys.modules[module], function)

        def noting(*arguments, **fields):
            threads.setdefault(function, set()).add(threading.current_thread())
            return work(*arguments, **fields)

        monkeypatch.setattr(name, noting)

    for name in ("appliance.config.live.service_own", "appliance.management.differences.Difference",
                 "appliance.management.differences.fields_changed", "appliance.reload.live_merge"):
        noted(name)
    CHANGES[change](daemon, client)
    assert {"Difference", "fields_changed"} <= threads.keys()
    assert ("service_own" in threads) == (change != "rollback")
    assert ("live_merge" in threads) == (change == "reload")
    assert daemon._thread not in set.union(*threads.values())


def test_what_differs_is_told_in_steps(daemon, monkeypatch):
    monkeypatch.setattr("appliance.management.config.STEP", 2)

    async def turns():
        telling = asyncio.ensure_future(
            _told(api.DiffConfigResponse(), [Difference(field=str(n)) for n in range(5)]))
        count = 0
        while not telling.done():
            await asyncio.sleep(0)
            count += 1
        assert [one.field for one in telling.result().differences] == ["0", "1", "2", "3", "4"]
        return count

    assert daemon.call(turns()) > 3


def test_of_what_differs_an_answer_has_what_it_has_room_for_and_the_number_of_all(
    client, monkeypatch
):
    whole = client.apply([service("dns", 53, "53")], validate_only=True)
    assert whole.differences_total == len(whole.differences) > 3
    first = sum(one.ByteSize() for one in whole.differences[:3])
    monkeypatch.setattr("appliance.management.config.DIFFERENCES_BYTES_MAX", first)
    answer = client.apply([service("dns", 53, "53")])
    assert list(answer.differences) == list(whole.differences[:3])
    assert answer.differences_total == len(whole.differences)
    back = client.rollback(1)
    assert back.differences_total == len(whole.differences) > len(back.differences) > 0


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
            grpc.StatusCode.RESOURCE_EXHAUSTED,
            "limits.services is 4: there are 2 services, and 0 whose connections go on, and 3"
            " would come")
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


def test_who_looks_has_one_thread_however_many_ask_and_go_away(daemon, client, monkeypatch):
    """A change is compiled and kept by threads of the same pool."""
    reading, let_go = threading.Event(), threading.Event()
    at_once: list[None] = []
    read = daemon.file.read

    def slow():
        at_once.append(None)
        reading.set()
        assert let_go.wait(CALL_S)
        return read()

    monkeypatch.setattr(daemon.file, "read", slow)
    stub = ConfigServiceStub(daemon.channel)
    calls = [stub.DiffConfig.future(api.DiffConfigRequest(), timeout=CALL_S) for _ in range(40)]
    assert reading.wait(CALL_S)
    for call in calls[:20]:
        call.cancel()
    client.apply([service("dns", 53)])
    assert len(at_once) == 1
    let_go.set()
    assert all(call.result().differences for call in calls[20:])


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
