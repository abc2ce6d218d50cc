"""A revision that waits for its confirmation, and is taken back without it."""

import time

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from synproxy.v1 import config_service_pb2 as api
from synproxy.v1 import services_service_pb2

from appliance.lab.waiting import until
from appliance.management import catalogue as catalogues

from .config_client import CALL_S, refused, service
from .refused import violations


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
