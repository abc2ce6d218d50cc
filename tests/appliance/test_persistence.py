"""synproxyd as a process: changes over gRPC are there again after its end, however that came."""

import itertools
import json
import signal
import subprocess
import threading
import time
from contextlib import suppress

import grpc
import pytest
from synproxy.v1.service_pb2 import Service, ServiceOptions
from synproxy.v1.services_service_pb2 import UpdateServiceRequest
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub

from appliance.lab.waiting import until

from .daemon_process import READY_S, as_root, left_behind, two_cores
from .disks import fill

pytestmark = two_cores
MAIL = "  - {name: mail, prefixes: [192.0.2.25], ports: [25]}\n"


@pytest.fixture
def configured(configure, state):
    """A configuration with a folder of revisions."""
    path = configure()
    path.write_text(path.read_text().replace(
        "management: {", f"management: {{state_folder: {state}, "))
    return path


def mss_of(daemon, name="web"):
    answer = json.loads(daemon.synproxy("service", "get", name, "-o", "json"))
    return answer["effective_options"]["mss"]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_change_survives_its_end(configured, start, how):
    daemon = start(configured)
    daemon.synproxy("service", "set", "web", "mss=1300")
    daemon.synproxy("service", "create", "dns", "--prefix", "192.0.2.53", "--port", "53")
    daemon.stop(how)
    daemon = start(configured)
    assert mss_of(daemon) == 1300
    assert "services 2, API" in daemon.said()
    assert "warning: management.state_folder" not in daemon.said()
    history = daemon.synproxy("config", "history").splitlines()
    assert [line.split()[0] for line in history[1:]] == ["3", "2", "1"]
    assert daemon.stop() == 0


def test_a_change_survives_a_kill_while_others_are_written(configured, start, state):
    daemon = start(configured)
    def write():
        with grpc.insecure_channel(daemon.address) as channel, suppress(grpc.RpcError):
            stub = ServicesServiceStub(channel)
            for mss in itertools.cycle((1301, 1302)):
                stub.UpdateService(UpdateServiceRequest(
                    service=Service(name="web", options=ServiceOptions(mss=mss))), timeout=5)

    writer = threading.Thread(target=write)
    writer.start()
    changes = state / "0000000001.changes"
    until(lambda: changes.exists() and changes.read_bytes().count(b"synproxy change 1 ") > 20,
          seconds=READY_S, what="changes")
    daemon.stop(signal.SIGKILL)
    writer.join()
    daemon = start(configured)
    assert mss_of(daemon) in (1301, 1302)
    assert "is torn" not in daemon.said()


def test_killed_within_the_window_it_comes_back_as_it_was(configured, start, tmp_path):
    daemon = start(configured)
    wanted = tmp_path / "wanted.yaml"
    wanted.write_text(configured.read_text() + MAIL)
    daemon.synproxy("config", "apply", str(wanted), "--confirm-within", "10m")
    assert mss_of(daemon, "mail") == 1400
    daemon.stop(signal.SIGKILL)
    daemon = start(configured)
    assert "revision 2 was not confirmed before the daemon ended; revision 1 is back" in (
        daemon.said())
    assert "mail" not in daemon.synproxy("service", "list")
    events = [json.loads(line) for line in daemon.said().splitlines() if line.startswith("{")]
    assert [(event["audit"], event["by"], event["method"]) for event in events] == [
        ("changed", "daemon", "start: revision 2 was not confirmed")]
    assert list(events[0]["resources"]) == ["services/mail"]


def test_not_confirmed_in_time_it_rolls_back_by_itself(configured, start, tmp_path):
    daemon = start(configured)
    wanted = tmp_path / "wanted.yaml"
    wanted.write_text(configured.read_text() + MAIL)
    daemon.synproxy("config", "apply", str(wanted), "--confirm-within", "2s")
    assert mss_of(daemon, "mail") == 1400
    until(lambda: "rollback: revision 2 was not confirmed in 2s" in daemon.said(), seconds=READY_S,
          what="the former revision")
    assert "\nmail" not in daemon.synproxy("service", "list")


def test_without_a_folder_it_says_so(configure, start):
    daemon = start(configure())
    assert ("warning: management.state_folder isn't set: changes over gRPC last until the daemon"
            " ends") in daemon.said()


def test_a_folder_that_cannot_be_had_is_no_reason_not_to_start(configured, start, state):
    state.write_text("no folder")
    daemon = start(configured)
    assert f"warning: management.state_folder: {state}: Not a directory" in daemon.said()
    daemon.synproxy("service", "set", "web", "mss=1300")
    time.sleep(1)
    assert daemon.synproxy("health").splitlines()[-1].split()[1] == "NOT_SERVING"


def test_a_torn_revision_is_named_and_the_last_good_one_runs(configured, start, state):
    daemon = start(configured)
    for mss in (1300, 1200):
        daemon.synproxy("service", "set", "web", f"mss={mss}")
    daemon.stop()
    torn = state / "0000000001.changes"
    torn.write_bytes(torn.read_bytes()[:-1])
    daemon = start(configured)
    assert f"warning: {torn}: is torn behind revision 2, and cut there" in daemon.said()
    assert mss_of(daemon) == 1300


@as_root
def test_on_a_full_disk_changes_are_refused_and_it_starts_all_the_same(
    configured, start, small_disk
):
    daemon = start(configured)
    ballast = fill(small_disk)
    with pytest.raises(subprocess.CalledProcessError) as error:
        daemon.synproxy("service", "set", "web", "mss=1300")
    assert error.value.stderr == (
        f"synproxy: {small_disk}: No space left on device; nothing was changed, since it would not"
        " survive a restart\n")
    assert mss_of(daemon) == 1400
    configured.write_text(configured.read_text() + MAIL)
    assert daemon.stop() == 0
    daemon = start(configured)      # it has something to write
    assert mss_of(daemon, "mail") == 1400
    ballast.unlink()
    daemon.synproxy("service", "set", "web", "mss=1300")
    assert mss_of(daemon) == 1300


def test_it_leaves_nothing_else_behind(configured, start, state, tmp_path):
    daemon = start(configured)
    daemon.synproxy("service", "set", "web", "mss=1300")
    daemon.stop()
    assert left_behind(tmp_path) == []
    assert sorted(path.name for path in state.iterdir()) == [
        "0000000001.changes", "0000000001.revision"]
