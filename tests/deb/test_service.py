"""The daemon as systemd's: what its unit says holds."""

import re
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from appliance.exit_codes import ExitCode
from appliance.lab.topology import SERVERS, Lab, stop
from appliance.lab.waiting import until
from appliance.lab.worker_threads import worker_threads

from ..appliance.stalled_thread import stalled
from .conftest import CONFIGURATION, MISTAKEN, VIEWER
from .host import UNIT, Host

STOP_S = 15                 # TimeoutStopSec
STOP_GRACE_S = 5            # management.stop_grace, unless it is set
WATCHDOG_S = 30             # WatchdogSec
SOON_S = 10
MISTAKE = "ports must be 1..65535, not 808080"
# linux/capability.h: CHOWN, NET_ADMIN, NET_RAW, SYS_ADMIN
RIGHTS = 1 << 0 | 1 << 12 | 1 << 13 | 1 << 21


@pytest.fixture
def process(started: Host) -> Path:
    """The daemon's, below this machine's /proc."""
    return Path("/proc") / str(started.processes()[started.unit("MainPID")])


def get(lab: Lab, *options: str) -> str:
    return lab.client.run(
        ["curl", "--silent", "--show-error", "--fail", *options, SERVERS["IPv4"].url("one")]).stdout


def is_again_active(host: Host, former: str) -> Callable[[], bool]:
    """Another process than the former one."""
    return lambda: (host.unit("ActiveState") == "active"
                    and host.unit("MainPID") not in ("0", former))


def test_clients_are_served_once_it_is_started(started: Host, lab: Lab) -> None:
    assert started.unit("ActiveState") == "active"
    get(lab)
    assert re.search(r"^cookie_valid +1 ", started.run("synproxy", "stats").stdout, re.MULTILINE)


def test_systemd_takes_each_line_of_the_unit(started: Host) -> None:
    assert started.run("systemd-analyze", "verify", "--man=no", UNIT).stderr == ""
    said = started.run("journalctl", "--output", "cat", "_PID=1", "--priority", "warning").stdout
    assert "synproxyd" not in said


def test_it_has_the_rights_that_the_unit_names_and_may_get_no_other(process: Path) -> None:
    status = dict(line.split(":\t", 1)
                  for line in (process / "status").read_text().splitlines())
    assert {int(status[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {RIGHTS}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def test_it_may_write_to_its_own_folders_alone(process: Path) -> None:
    """Besides the kernel's, /dev and /proc, and a /tmp that nobody else sees."""
    found = subprocess.run(
        ["nsenter", "--target", process.name, "--mount", "find", "/", "/run", "-xdev", "-type", "d",
         "-writable", "-not", "-path", "/run/synproxy/*"],
        capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) == {
        "/run/synproxy", "/var/lib/synproxy", "/dev", "/proc", "/tmp", "/var/tmp"}


@pytest.mark.parametrize(("user", "address", "code"), [
    ("member", VIEWER, ExitCode.OK), ("stranger", VIEWER, ExitCode.DENIED),
    ("member", "unix:/run/synproxy/api.sock", ExitCode.DENIED)])
def test_a_listener_is_its_groups_alone(
        started: Host, user: str, address: str, code: ExitCode) -> None:
    asked = started.run("runuser", "-u", user, "--", "synproxy", "--address", address,
                        "service", "list", check=False)
    assert asked.returncode == code, asked.stderr


def test_a_reload_takes_a_changed_file(started: Host) -> None:
    former = started.unit("MainPID")
    started.configure(CONFIGURATION.replace("ports: [80]", "ports: [80, 8080]"))
    started.run("systemctl", "reload", UNIT)
    until(lambda: "8080" in started.run("synproxy", "service", "list").stdout, seconds=SOON_S,
          what="the file to be taken")
    assert started.unit("MainPID") == former


def test_a_reload_of_a_mistaken_file_fails_and_its_status_says_why(
        started: Host, lab: Lab) -> None:
    former = started.unit("MainPID")
    started.configure(MISTAKEN)
    assert started.run("systemctl", "reload", UNIT, check=False).returncode != 0
    until(lambda: MISTAKE in started.unit("StatusText"), seconds=SOON_S, what="the status")
    assert (started.unit("ActiveState"), started.unit("MainPID")) == ("active", former)
    get(lab)


def test_it_is_started_again_where_it_is_killed(started: Host, lab: Lab) -> None:
    former = started.unit("MainPID")
    started.run("kill", "-KILL", former)
    until(is_again_active(started, former), seconds=SOON_S, what="the daemon to be back")
    get(lab)


def test_it_is_started_again_where_its_worker_makes_no_turn(
        started: Host, process: Path, lab: Lab) -> None:
    former = started.unit("MainPID")
    (worker,) = worker_threads(int(process.name))
    with stalled(worker) as held:
        held.await_end(seconds=SOON_S)
    until(is_again_active(started, former), seconds=SOON_S, what="the daemon to be back")
    assert f"status={ExitCode.STALLED}/" in started.journal()
    assert "has made no turn" in started.journal()
    get(lab)


def test_systemd_starts_it_again_where_its_control_thread_hangs(
        started: Host, process: Path, lab: Lab) -> None:
    """Until then frames pass."""
    former = started.unit("MainPID")
    with stalled(int(process.name)) as held:
        get(lab)
        held.await_end(seconds=WATCHDOG_S + SOON_S)
    until(is_again_active(started, former), seconds=SOON_S, what="the daemon to be back")
    assert "Failed with result 'watchdog'" in started.journal()
    get(lab)


def test_a_connection_goes_on_while_it_stops_and_nothing_is_left(started: Host, lab: Lab) -> None:
    client = lab.start(lab.client, [
        "curl", "--silent", "--limit-rate", "100k", SERVERS["IPv4"].url("large")],
        stdout=subprocess.DEVNULL)
    until(lambda: "established" in started.run("synproxy", "connection", "list").stdout,
          seconds=SOON_S, what="the connection")
    began = time.monotonic()
    started.run("systemctl", "stop", UNIT)
    took_s = time.monotonic() - began
    stop(client)
    assert STOP_GRACE_S <= took_s < STOP_S
    assert started.unit("Result") == "success"
    assert started.run("ls", "/run/synproxy", check=False).returncode != 0
