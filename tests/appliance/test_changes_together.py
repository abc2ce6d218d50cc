"""Changes that come while another one is written: they go together, and each has its own answer."""

import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.service_pb2 import Service, ServiceOptions

from appliance.lab.waiting import until
from appliance.state.folder import Folder
from cython_core.dataplane import DataplaneError

from .config_client import CALL_S, refused, service

WAIT_S = 10


class Disk:
    """It writes as often as it is let; what it is told to is counted."""

    def __init__(self, monkeypatch):
        self.appended: list[int] = []       # how many changes at a time
        self.let = threading.Semaphore(0)
        append = Folder.append

        def held(folder, base, length, content):
            self.appended.append(content.count(b"synproxy change 1 "))
            assert self.let.acquire(timeout=WAIT_S)
            append(folder, base, length, content)

        monkeypatch.setattr(Folder, "append", held)


@pytest.fixture
def begun(kept, monkeypatch):
    """A daemon, a caller of it, and what makes calls while the disk holds one of them up: it
    returns what they come to, in order."""
    daemon, client = kept()
    disk = Disk(monkeypatch)

    def together(*calls):
        with ThreadPoolExecutor(len(calls) + 1) as pool:
            first = pool.submit(client.set, "mail", 1111)
            until(lambda: disk.appended, seconds=WAIT_S, what="the first at the disk")
            waiting = []
            for call in calls:
                waiting.append(pool.submit(call))
                until(lambda: len(daemon.catalogue._wishes._waiting) == len(waiting),
                      seconds=WAIT_S, what="it to wait")
            disk.let.release(100)
            first.result()
            return [one.exception() or one.result() for one in waiting]

    return daemon, client, disk, together


def code(answer):
    return answer.code() if isinstance(answer, grpc.RpcError) else grpc.StatusCode.OK


def create(client, name, number):
    return lambda: client.services.CreateService(
        api.CreateServiceRequest(service=service(name, number)), timeout=CALL_S)


def delete(client, name):
    return lambda: client.services.DeleteService(
        api.DeleteServiceRequest(name=name), timeout=CALL_S)


def update(client, name, mss, etag=""):
    return lambda: client.services.UpdateService(api.UpdateServiceRequest(
        service=Service(name=name, options=ServiceOptions(mss=mss), etag=etag)), timeout=CALL_S)


def test_all_that_wait_share_one_write_and_one_snapshot(begun):
    daemon, client, disk, together = begun
    answers = together(*(update(client, "web", 1000 + number) for number in range(8)))
    assert disk.appended == [1, 8]
    assert len(daemon.plane.published) == 3
    assert {answer.generation for answer in answers} == {3}
    assert [(answer.previous.options.mss, answer.service.options.mss) for answer in answers] == [
        (1400, 1000), *((999 + number, 1000 + number) for number in range(1, 8))]
    history = client.revisions().revisions
    assert [one.number for one in history] == list(range(10, 0, -1))
    assert [one.differences[0].after for one in history[:8]] == [
        str(mss) for mss in range(1007, 999, -1)]


def test_each_is_held_against_those_before_it(begun):
    _, client, disk, together = begun
    etag = client.services.GetService(api.GetServiceRequest(name="web")).service.etag
    answers = together(
        update(client, "web", 1001, etag), update(client, "web", 1002, etag),
        create(client, "a", 1), create(client, "a", 2), create(client, "b", 1),
        delete(client, "nope"), update(client, "web", 3))
    assert [code(answer) for answer in answers] == [
        grpc.StatusCode.OK, grpc.StatusCode.ABORTED,
        grpc.StatusCode.OK, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT]
    assert disk.appended == [1, 2]
    assert [one.name for one in client.running()] == ["web", "mail", "a"]


def test_a_service_that_comes_waits_until_one_that_goes_is_gone(begun):
    daemon, client, disk, together = begun
    answers = together(delete(client, "mail"), create(client, "mail", 1), create(client, "a", 2))
    assert [answer.generation for answer in answers] == [3, 4, 4]
    assert disk.appended == [1, 1, 2]
    assert [len(specs) for specs in daemon.plane.published] == [2, 2, 1, 3]


def test_what_one_is_refused_for_keeps_no_other_back(begun, monkeypatch):
    daemon, client, disk, together = begun
    publish = daemon.plane.publish

    def picky(specs):
        if any(spec.name == "big" for spec in specs):
            raise DataplaneError("no memory for another snapshot")
        return publish(specs)

    monkeypatch.setattr(daemon.plane, "publish", picky)
    # The last has the address of the one that can't be.
    answers = together(
        update(client, "web", 1001), create(client, "big", 1), create(client, "a", 1))
    assert [code(answer) for answer in answers] == [
        grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.OK]
    assert disk.appended == [1, 2, 1, 1, 1]
    assert [one.name for one in client.running()] == ["web", "mail", "a"]
    assert [one.action for one in client.revisions().revisions[:2]] == [
        "ServicesService/CreateService", "ServicesService/UpdateService"]


def waits(daemon, count):
    until(lambda: len(daemon.catalogue._wishes._waiting) == count, seconds=WAIT_S,
          what=f"{count} to wait")


def test_who_goes_away_before_its_turn_has_never_come(begun):
    daemon, client, disk, _ = begun
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.set, "mail", 1111)
        until(lambda: disk.appended, seconds=WAIT_S, what="the first at the disk")
        refused(lambda: client.set("web", 1001, timeout=0.3), grpc.StatusCode.DEADLINE_EXCEEDED)
        waits(daemon, 0)
        disk.let.release(100)
        first.result()
    assert client.get().revision.number == 2
    assert client.running()[0].options.mss == 1400


def test_who_goes_away_in_the_turn_of_another_has_its_change_and_its_line(begun):
    daemon, client, disk, _ = begun
    with ThreadPoolExecutor(3) as pool:
        pool.submit(client.set, "mail", 1111)
        until(lambda: disk.appended, seconds=WAIT_S, what="the first at the disk")
        other = pool.submit(client.set, "mail", 1112)
        waits(daemon, 1)
        goes = pool.submit(client.set, "web", 1001, timeout=1)
        waits(daemon, 2)
        disk.let.release()
        until(lambda: disk.appended == [1, 2], seconds=WAIT_S, what="both at the disk")
        assert code(goes.exception()) is grpc.StatusCode.DEADLINE_EXCEEDED
        until(daemon.goes_on_alone, seconds=WAIT_S, what="the daemon to hear of it")
        disk.let.release()
        other.result()
    assert client.running()[0].options.mss == 1001
    (line,) = [line for line in daemon.lines(3) if "services/web" in line["resources"]]
    assert (line["audit"], line["code"]) == ("changed", "CANCELLED")
