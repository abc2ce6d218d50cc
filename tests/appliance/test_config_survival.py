"""What changes over gRPC survive, and what becomes of those that can't be kept."""

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from synproxy.v1.system_service_pb2 import DrainRequest, GetDrainRequest
from synproxy.v1.system_service_pb2_grpc import SystemServiceStub

from appliance.lab.waiting import until
from appliance.management import catalogue as catalogues
from appliance.state import folder as folders
from appliance.state.folder import changes_name, file_name

from .config_client import CALL_S, Client, refused, service
from .conftest import SERVICES, Daemon
from .daemon_process import as_root
from .disks import fill


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


def test_revisions_of_one_service_are_shown_compared_and_taken_back_as_any(kept):
    daemon, client = kept()
    for mss in (1300, 1200, 1100):
        client.set(mss=mss)
    daemon.call(daemon.catalogue.delete("mail"))

    def look(client):
        assert [one.number for one in client.revisions().revisions][-5:] == [5, 4, 3, 2, 1]
        (difference,) = client.get(3).revision.differences
        assert (difference.field, difference.before, difference.after) == (
            "options.mss", "1300", "1200")
        assert {(one.resource, one.field) for one in client.diff(2).differences} >= {
            ("services/mail", "name"), ("services/web", "options.mss")}

    look(client)
    _, client = kept()
    look(client)
    client.rollback(3)
    assert [(one.name, one.options.mss) for one in client.running()] == [("web", 1200), ("mail", 0)]
    client.set("mail", mss=1000)
    _, client = kept()
    assert [(one.name, one.options.mss) for one in client.running()] == [
        ("web", 1200), ("mail", 1000)]


def test_a_restart_ends_a_drain_and_keeps_the_changes_made_meanwhile(kept):
    daemon, client = kept()
    SystemServiceStub(daemon.channel).Drain(DrainRequest(), timeout=CALL_S)
    client.set(mss=1300)
    assert daemon.plane.drains == ["bridge"]
    daemon, client = kept()
    system = SystemServiceStub(daemon.channel)
    assert not system.GetDrain(GetDrainRequest(), timeout=CALL_S).drain.draining
    assert daemon.plane.drains == []
    assert client.running()[0].options.mss == 1300


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
    client.apply([service("a", 1)])
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
    refused(client.set, grpc.StatusCode.RESOURCE_EXHAUSTED)
    refused(lambda: client.apply([service("a", 1)]), grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert [path.name for path in state.iterdir()] == [file_name(1)]
    _, client = kept()
    assert client.running()[0].options.mss == 1400
    assert [one.number for one in client.revisions().revisions] == [1]


def test_a_caller_that_goes_away_while_the_disk_writes_parts_nothing(kept, monkeypatch):
    """It is on disk and published, or neither."""
    daemon, client = kept()
    append = folders.Folder.append

    def slow(self, *what):
        time.sleep(0.5)
        append(self, *what)

    monkeypatch.setattr(folders.Folder, "append", slow)
    refused(lambda: client.set(timeout=0.1), grpc.StatusCode.DEADLINE_EXCEEDED)
    until(lambda: len(daemon.plane.published) == 2, seconds=5, what="the change")
    assert client.get().revision.number == 2
    (line,) = daemon.lines(1)
    assert (line["audit"], line["code"]) == ("changed", "CANCELLED")
    assert client.get().revision.by == daemon.address


def test_others_are_answered_while_the_disk_writes(kept, monkeypatch):
    _, client = kept()
    append = folders.Folder.append

    def slow(self, *what):
        time.sleep(1)
        append(self, *what)

    monkeypatch.setattr(folders.Folder, "append", slow)
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
        client.apply([service("a", 1)])
        for mss in range(1000, 1100):
            client.set("a", mss=mss)
        # Those before the newest whole one, which nothing needs any more, are gone.
        assert [path.name for path in sorted(state.iterdir())] == [
            changes_name(112), file_name(112)]
