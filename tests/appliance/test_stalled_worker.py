"""A worker that makes no turn, of a daemon as it runs: told everywhere, and over by itself."""

import json
import socket
import subprocess
from contextlib import suppress
from urllib.request import urlopen

import pytest

from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management.catalogue import ACKNOWLEDGE_TIMEOUT_S

from .daemon_process import LCORES, as_root, two_cores
from .stalled_thread import stalled

pytestmark = [as_root, two_cores]

CORE = LCORES[-1]
SOON_S = 10
CONFIGURATION = "synproxy.configuration"


@pytest.fixture
def notified(tmp_path):
    """What systemd hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(tmp_path / "notify"))
        yield heard


@pytest.fixture
def metrics_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def daemon(configure, start, notified, metrics_port):
    config = configure()
    config.write_text(config.read_text().replace(
        "management: {", f'management: {{metrics_address: "127.0.0.1:{metrics_port}", '))
    return start(config, env={
        "NOTIFY_SOCKET": notified.getsockname(), "WATCHDOG_USEC": "30000000"})


@pytest.fixture
def metric(metrics_port):
    def read(series):
        with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=SOON_S) as page:
            (value,) = [line.rpartition(" ")[2] for line in page.read().decode().splitlines()
                        if line.startswith(f"{series} ")]
        return float(value)

    return read


def worker_thread(daemon):
    (worker,) = json.loads(daemon.synproxy("worker", "list", "-o", "json"))["workers"]
    return worker["thread_id"]


def healthy(daemon, *arguments):
    with suppress(subprocess.CalledProcessError):
        return bool(daemon.synproxy("health", *arguments))
    return False


def heard(notified):
    """All that has come, and is then gone."""
    lines = []
    with suppress(BlockingIOError):
        while True:
            lines += notified.recv(4096).decode().splitlines()
    return lines


def test_one_that_makes_no_turn_is_not_ready_until_it_goes_on(daemon, metric, notified):
    stuck = f'synproxy_worker_stuck{{worker="{CORE}"}}'
    assert (healthy(daemon), metric(stuck)) == (True, 0)
    with stalled(worker_thread(daemon)):
        until(lambda: metric(stuck) == 1, seconds=SOON_S, what="the worker to be told as stuck")
        assert not healthy(daemon)
        heard(notified)
        assert not healthy(daemon)      # half a second later, and more
        assert "WATCHDOG=1" not in heard(notified)
    until(lambda: healthy(daemon), seconds=SOON_S, what="readiness")
    until(lambda: "WATCHDOG=1" in heard(notified), seconds=SOON_S, what="the watchdog")
    assert metric(stuck) == 0
    assert daemon.said().count(f"the worker on core {CORE} is stuck") == 1
    assert daemon.said().count(f"the worker on core {CORE} goes on") == 1


@pytest.mark.parametrize("change", [
    ("service", "set", "web", "mss=1300"), ("drain",), ("secret", "rotate")], ids=" ".join)
def test_a_change_that_it_does_not_take_up_is_told_until_it_does(daemon, metric, change):
    with stalled(worker_thread(daemon)):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            daemon.synproxy(*change)
        assert failed.value.returncode == ExitCode.UNAVAILABLE
        assert (f"is published, but a worker hasn't run it after {ACKNOWLEDGE_TIMEOUT_S:g} s:"
                f" on core {CORE}\n") in failed.value.stderr
        shown = daemon.synproxy("config", "show")
        assert f"# published, but not run by the worker on core {CORE}\n" in shown
        assert metric("synproxy_config_acknowledged") == 0
        until(lambda: health(daemon)[CONFIGURATION] == "NOT_SERVING", seconds=SOON_S,
              what="health to tell of it")
    until(lambda: healthy(daemon, "--strict"), seconds=SOON_S, what="health")
    assert "not run by" not in daemon.synproxy("config", "show")
    assert metric("synproxy_config_acknowledged") == 1


def health(daemon):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        daemon.synproxy("health")
    return dict(line.split()[-2:] for line in failed.value.stdout.splitlines()[2:])
