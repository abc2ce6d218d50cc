"""The configuration file is taken again: whole or not at all, and once it has come to rest."""

import os
import signal
import threading
import time

import grpc
import pytest
from grpc_health.v1.health_pb2 import HealthCheckRequest, HealthCheckResponse
from grpc_health.v1.health_pb2_grpc import HealthStub

from appliance import config_file, reload
from appliance.api import CONFIGURATION
from appliance.config.load import config_parse
from appliance.config_file import ConfigFile, FileState
from appliance.lab.waiting import until
from appliance.management import catalogue
from appliance.management.standing import standing_of

from .config_client import Client, service
from .conftest import SERVICES, Daemon
from .daemon_process import READY_S, as_root, two_cores
from .disks import fill

DNS = "  - {name: dns, prefixes: [192.0.2.53], ports: [53]}\n"


def write(daemon, text):
    daemon.path.write_text(text)


def take(daemon):
    daemon.call(daemon.reloader.reload("SIGHUP"))


def names(client):
    return [one.name for one in client.running()]


# What is taken.

def test_a_changed_file_is_one_snapshot_and_one_revision(daemon, client):
    write(daemon, SERVICES.replace("1400", "1300") + DNS)
    take(daemon)
    assert len(daemon.plane.published) == 2
    assert names(client) == ["web", "mail", "dns"]
    revision = client.get().revision
    assert (revision.number, revision.by, revision.action) == (
        2, f"file {daemon.path}", "reload: SIGHUP")
    (line,) = daemon.lines(1)
    assert (line["audit"], line["by"], line["method"]) == (
        "changed", f"file {daemon.path}", "reload: SIGHUP")
    assert line["resources"]["services/web"] == {"options.mss": ["1400", "1300"]}
    assert client.get().file.taken_total == 1


def test_what_was_changed_over_grpc_stays_where_the_file_says_nothing_new(daemon, client):
    client.set(mss=1000)
    write(daemon, SERVICES + DNS)
    take(daemon)
    assert client.running()[0].options.mss == 1000
    assert names(client) == ["web", "mail", "dns"]
    # Once it does, the file has the last word.
    write(daemon, SERVICES.replace("1400", "1300") + DNS)
    take(daemon)
    assert client.running()[0].options.mss == 1300


def test_of_many_changes_whose_place_it_takes_the_first_are_named(
        daemon, client, capfd, monkeypatch):
    monkeypatch.setattr(reload, "OVERRIDDEN_SHOWN", 1)
    for name in ("web", "mail"):
        client.set(name, mss=1000)
    write(daemon, SERVICES.replace("[443", "[444").replace("[25]", "[26]"))
    take(daemon)
    said = capfd.readouterr().err
    assert "reload: services/web: takes the place of another change" in said
    assert "services/mail: takes" not in said
    assert "reload: 1 more take the place of other changes" in said


def test_the_defaults_change_every_service(daemon, client):
    write(daemon, SERVICES.replace("wscale: 9", "wscale: 3"))
    take(daemon)
    assert {spec.options.wscale for spec in daemon.plane.published[-1]} == {3}


def test_the_same_again_changes_nothing(daemon, client):
    take(daemon)
    write(daemon, "# a comment\n" + SERVICES)
    take(daemon)
    assert len(daemon.plane.published) == 1
    assert client.get().revision.number == 1
    assert client.get().file.taken_total == 2


def test_a_file_that_says_what_runs_is_what_it_is_compared_with_from_then_on(daemon, client):
    """Somebody writes the change into the file, too, and takes it back there later."""
    client.set(mss=1300)
    write(daemon, SERVICES.replace("1400", "1300"))
    take(daemon)
    write(daemon, SERVICES)
    take(daemon)
    assert client.running()[0].options.mss == 1400


# What is not.

@pytest.mark.parametrize(("text", "words"), [
    ("", "document: is empty"), (SERVICES + "  - x\n", "services[2]: must be a mapping"),
    (SERVICES.replace("1400", "99999"), "services[0].options.mss: must be 536..8960 bytes"),
    (SERVICES[:-20], "document: "), ("\0", "document: "),
    (SERVICES.replace("mail", "web"), "web is the name of services[0], too"),
    (SERVICES.replace("1400", "1300") + "limits: {connections: 131072}\n",
     "limits.connections: 1048576 -> 131072 takes a restart"),
    (SERVICES.replace("net_ring0", "net_ring9").replace("1400", "1300"),
     "ports.client.device: net_ring0 -> net_ring9 takes a restart"),
    (None, "can't be read: No such file or directory"),
])
def test_a_bad_file_changes_nothing_and_shows(daemon, client, text, words):
    client.set(mss=1000)
    if text is None:
        daemon.path.unlink()
    else:
        write(daemon, text)
    take(daemon)
    assert len(daemon.plane.published) == 2
    assert client.running()[0].options.mss == 1000
    state = client.get().file
    assert (state.taken, state.refused_total, words in state.reason) == (False, 1, True)
    standing = standing_of(daemon.catalogue, daemon.file.state)
    assert (standing.well, standing.file_taken, standing.refused_total) == (False, False, 1)
    line = daemon.lines(2)[1]
    assert (line["audit"], line["by"]) == ("failed", f"file {daemon.path}")
    assert line["message"].startswith(state.reason[:100])
    # Nothing of it sticks.
    write(daemon, SERVICES + DNS)
    take(daemon)
    assert client.get().file.taken
    assert standing_of(daemon.catalogue, daemon.file.state).well
    assert client.running()[0].options.mss == 1000
    assert names(client) == ["web", "mail", "dns"]


def test_one_that_does_not_go_with_changes_over_grpc_is_refused(daemon, client):
    client.apply([*client.running(), service("a", 1)], mss=1400)
    write(daemon, SERVICES + "  - {name: b, prefixes: [198.51.100.1], ports: [80]}\n")
    take(daemon)
    assert "belongs to" in client.get().file.reason
    assert names(client) == ["web", "mail", "a"]


def test_one_that_the_data_plane_refuses_is_tried_again_on_request(daemon, client):
    write(daemon, SERVICES + DNS)
    daemon.plane.failing = True
    take(daemon)
    assert "no memory for another snapshot" in client.get().file.reason
    daemon.plane.failing = False
    take(daemon)
    assert (client.get().file.taken, names(client)) == (True, ["web", "mail", "dns"])


def test_one_that_a_worker_is_late_to_run_is_taken_and_says_so(daemon, client, capfd, monkeypatch):
    monkeypatch.setattr(catalogue, "ACKNOWLEDGE_TIMEOUT_S", 0.05)
    write(daemon, SERVICES + DNS)
    daemon.plane.stuck = True
    take(daemon)
    assert names(client) == ["web", "mail", "dns"]
    state = client.get().file
    assert (state.taken, state.taken_total, state.refused_total) == (True, 1, 0)
    assert "reload: taken: generation 2 is published, but a worker" in capfd.readouterr().err
    # Nothing is left to take.
    daemon.plane.stuck = False
    take(daemon)
    assert len(daemon.plane.published) == 2


# What waits.

@pytest.fixture
def running(monkeypatch):
    """Runs a daemon's reloader, ten times as fast."""
    monkeypatch.setattr(reload, "LOOK_S", 0.1)
    monkeypatch.setattr(reload, "RETRY_S", 0.2)
    tasks = []

    def run(daemon):
        tasks.append(daemon.spawn(daemon.reloader.run()))

    yield run
    for task in tasks:
        task.cancel()


def test_a_confirmation_comes_first(daemon, client, running):
    running(daemon)
    client.apply([*client.running(), service("a", 1)], mss=1400, within_s=60)
    write(daemon, SERVICES + DNS)
    until(lambda: not client.get().file.taken, seconds=5, what="the file to wait")
    assert "waits until the newest revision is confirmed" in client.get().file.reason
    time.sleep(0.7)
    assert client.get().file.refused_total == 1
    client.confirm()
    until(lambda: client.get().file.taken, seconds=5, what="the file to be taken")
    assert names(client) == ["web", "mail", "dns", "a"]


def test_who_asks_meanwhile_is_told_and_who_waits_is_not_told_again(daemon, client, monkeypatch):
    """`systemctl reload` waits for an answer to each SIGHUP."""
    told = []
    monkeypatch.setattr(reload, "notify_reloading", lambda: told.append("reloading"))
    monkeypatch.setattr(reload, "notify_running", told.append)
    client.apply([*client.running(), service("a", 1)], mss=1400, within_s=60)
    write(daemon, SERVICES + DNS)
    for why in ("changed", "changed", "SIGHUP", "changed"):
        daemon.call(daemon.reloader.reload(why))
    waits = client.get().file.reason
    assert told == ["reloading", waits, "reloading", waits]
    client.confirm()
    daemon.call(daemon.reloader.reload("changed"))
    assert told[4:] == [""]


@as_root
def test_a_full_disk_is_waited_for(tmp_path, small_disk, running):
    with Daemon(tmp_path / "api.sock", state=small_disk) as daemon:
        client = Client(daemon.channel)
        running(daemon)
        fill(small_disk)
        write(daemon, daemon.path.read_text() + DNS)
        until(lambda: not client.get().file.taken, seconds=5, what="the file to wait")
        assert names(client) == ["web", "mail"]
        (small_disk / "ballast").unlink()
        until(lambda: client.get().file.taken, seconds=5, what="the file to be taken")
        assert names(client) == ["web", "mail", "dns"]


# When.

@pytest.fixture
def file(tmp_path):
    path = tmp_path / "synproxy.yaml"
    path.write_text(SERVICES)
    return ConfigFile(path, config_parse(SERVICES.encode(), "f"))


def looks(file, count=4):
    return [file.changed() for _ in range(count)]


def test_it_is_read_once_it_has_come_to_rest(file):
    assert looks(file) == [False] * 4
    seen = []
    for _ in range(5):                                      # a slow writer
        with file.state.path.open("a") as out:
            out.write("#")
        seen.append(file.changed())
    assert seen == [False] * 5
    assert file.changed()
    file.load()
    assert looks(file) == [False] * 4


def test_an_editor_that_puts_another_file_in_its_place(file):
    path = file.state.path
    status = path.stat()
    other = path.with_suffix(".new")
    other.write_text(SERVICES.replace("1400", "1300"))
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))       # as old, as long
    os.replace(other, path)
    assert looks(file, 2) == [False, True]


def test_an_editor_that_moves_the_old_one_away_first(file):
    path = file.state.path
    path.rename(path.with_suffix(".bak"))
    assert not file.changed()
    path.write_text(SERVICES.replace("1400", "1300"))
    assert looks(file, 2) == [False, True]
    assert file.load().services[0].options.mss == 1300


def test_one_that_stays_away_is_told(file):
    file.state.path.unlink()
    assert looks(file, 2) == [False, True]
    with pytest.raises(config_file.FileRefusedError, match="No such file"):
        file.load()
    assert looks(file) == [False] * 4


def test_of_many_writes_one_is_taken(daemon, client, running):
    running(daemon)
    for mss in range(1300, 1330):
        write(daemon, SERVICES.replace("1400", str(mss)))
        time.sleep(0.01)
    until(lambda: client.running()[0].options.mss == 1329, seconds=5, what="the last")
    time.sleep(0.3)
    assert len(daemon.plane.published) <= 3
    assert client.get().file.refused_total == 0


def test_a_request_does_not_wait_and_many_are_one(daemon, client, running, monkeypatch):
    monkeypatch.setattr(reload, "LOOK_S", 60.0)
    running(daemon)
    write(daemon, SERVICES.replace("1400", "1300"))
    daemon.call(asked(daemon, times=10))
    until(lambda: client.running()[0].options.mss == 1300, seconds=5, what="the file")
    assert client.get().file.taken_total == 1


async def asked(daemon, times=1):
    for _ in range(times):
        daemon.reloader.ask()


def test_without_reload_on_change_only_a_request_counts(daemon, client, running):
    daemon.reloader._on_change = False
    running(daemon)
    write(daemon, SERVICES.replace("1400", "1300"))
    time.sleep(0.5)
    assert client.running()[0].options.mss == 1400
    daemon.call(asked(daemon))
    until(lambda: client.running()[0].options.mss == 1300, seconds=5, what="the file")


def test_changes_over_grpc_and_of_the_file_at_once_are_all_there(daemon, client, running):
    """Each revision is made of the one before it, and none is lost."""
    running(daemon)
    done = threading.Event()

    def rewrite():
        for mss in range(1000, 1100):
            write(daemon, SERVICES.replace("ports: [25]", f"ports: [25], options: {{mss: {mss}}}"))
            time.sleep(0.02)
        done.set()

    writer = threading.Thread(target=rewrite)
    writer.start()
    mss = 600
    while not done.is_set():
        mss += 1
        client.set(mss=mss)
    writer.join()
    until(lambda: client.running()[1].options.mss == 1099, seconds=5, what="the last")
    assert client.running()[0].options.mss == mss
    published = [[spec.options.mss for spec in one] for one in daemon.plane.published]
    assert all(len(one) == 2 for one in published)
    assert published[-1] == [mss, 1099]


# How it shows.

def test_the_reason_of_a_state_is_gone_with_it(tmp_path):
    state = FileState(tmp_path)
    assert (state.taken, state.taken_total) == (True, 0)
    state.refused("no")
    assert (state.taken, state.reason, state.refused_total) == (False, "no", 1)
    state.took()
    assert (state.taken, state.reason, state.taken_total) == (True, "", 1)


def test_a_long_reason_is_told_in_part(tmp_path):
    state = FileState(tmp_path)
    state.refused("\n".join(map(str, range(1000))))
    assert len(state.reason.splitlines()) == 51
    assert state.reason.endswith("\n950 more")


def health(daemon):
    with grpc.insecure_channel(daemon.address) as channel:
        return HealthStub(channel).Check(
            HealthCheckRequest(service=CONFIGURATION), timeout=5).status


@two_cores
def test_the_daemon_takes_its_file_on_sighup_and_by_itself_and_says_how_it_went(configure, start):
    config = configure()
    daemon = start(config)
    good = config.read_text()
    config.write_text(good.replace("mss: 1400", "mss: 1300"))
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "reload: taken: 1 resources changed" in daemon.said(), seconds=READY_S,
          what="the file")
    assert "1300" in daemon.synproxy("service", "get", "web").splitlines()[2]
    config.write_text(good.replace("mss: 1400", "mss: 1"))
    until(lambda: f"{config}:9:17: defaults.mss: must be" in daemon.said(), seconds=READY_S,
          what="the mistake")
    until(lambda: health(daemon) == HealthCheckResponse.NOT_SERVING, seconds=5, what="health")
    # Nobody is to start it again for that.
    assert daemon.synproxy("health").splitlines()[-1].split() == [CONFIGURATION, "NOT_SERVING"]
    assert "1300" in daemon.synproxy("service", "get", "web").splitlines()[2]
    config.write_text(good)
    until(lambda: health(daemon) == HealthCheckResponse.SERVING, seconds=5, what="health")
    assert "1400" in daemon.synproxy("service", "get", "web").splitlines()[2]
    assert daemon.stop() == 0
