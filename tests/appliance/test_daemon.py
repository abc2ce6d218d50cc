"""synproxyd as a process: how it checks, starts, changes and ends."""

import json
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from appliance.api import SERVICE_NAMES
from appliance.exit_codes import ExitCode
from appliance.host.link import link_read
from appliance.lab.waiting import until

from .daemon_process import (
    LCORES,
    READY_S,
    as_root,
    command,
    cores_of,
    finished,
    left_behind,
    opened,
    two_cores,
)


def test_check_sums_up_what_is_right(configure):
    result = finished("check", configure())
    assert (result.returncode, result.stderr) == (ExitCode.OK, "")
    assert re.fullmatch(r"\S+/synproxy.yaml: ok: .*\n", result.stdout)


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_wrong_configuration_is_told_in_whole_and_nothing_starts(configure, tmp_path, verb):
    config = configure(client="{device: net_ring0, pci: 1}", size_mib="lots", worker=300)
    result = finished(verb, config)
    assert result.returncode == ExitCode.INVALID
    assert result.stdout == ""
    assert [line.split(": ")[:2] for line in result.stderr.splitlines()] == [
        [f"{config}:2:31", "ports.client.pci"],
        [f"{config}:4:20", "workers.lcores[0]"],
        [f"{config}:5:38", "memory.size_mib"],
    ]
    assert left_behind(tmp_path) == []


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    result = finished("check", tmp_path / "none.yaml")
    assert result.returncode == ExitCode.USAGE
    assert result.stderr == (
        f"synproxyd: {tmp_path}/none.yaml: can't be read: No such file or directory;"
        " name another\n")


@pytest.mark.parametrize("verb", ["check", "run"])
def test_a_folder_in_the_files_place_is_a_usage_error_in_one_line(verb, tmp_path):
    """It is what Docker makes of a file that isn't there and is to be mounted."""
    result = finished(verb, tmp_path)
    assert result.returncode == ExitCode.USAGE
    assert result.stderr == f"synproxyd: {tmp_path}: can't be read: Is a directory; name another\n"


@as_root
def test_a_file_in_a_folder_that_may_not_be_entered_is_no_missing_one(configure, tmp_path):
    tmp_path.chmod(0o700)
    config = configure()
    result = finished("check", config, user=65534, group=65534, extra_groups=[])
    assert result.returncode == ExitCode.DENIED
    assert result.stderr == (
        f"synproxyd: {config}: can't be read: Permission denied;"
        " let user 65534 read it, and enter its folder\n")


def test_a_file_that_cannot_be_read_is_told_in_one_line():
    result = finished("check", Path("/proc/self/mem"))
    assert result.returncode == ExitCode.FAILED
    assert result.stderr == "synproxyd: /proc/self/mem: can't be read: Input/output error\n"


@as_root
def test_a_file_of_others_is_denied(configure):
    config = configure()
    opened(config)
    config.chmod(0)
    result = finished("check", config, user=65534, group=65534, extra_groups=[])
    assert result.returncode == ExitCode.DENIED
    assert result.stderr == (
        f"synproxyd: {config}: can't be read: Permission denied;"
        " let user 65534 read it, and enter its folder\n")


@two_cores
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_its_counters_and_leaves_nothing(configure, start, tmp_path, how):
    daemon = start(configure())
    assert daemon.stop(how) == 0
    assert re.search(r"^dropped +0$", daemon.said(), re.MULTILINE)
    assert "Traceback" not in daemon.said()
    assert left_behind(tmp_path) == []


@two_cores
def test_more_signals_do_not_cut_the_stop_short(configure, start, tmp_path):
    daemon = start(configure())
    for how in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
        daemon.process.send_signal(how)
    assert daemon.stop() == 0
    assert re.search(r"^dropped +0$", daemon.said(), re.MULTILINE)
    assert left_behind(tmp_path) == []


@two_cores
def test_a_closed_terminal_or_a_reload_does_not_end_it(configure, start):
    daemon = start(configure())
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "reload: taken: runs already" in daemon.said(), seconds=READY_S,
          what="the file to be taken")
    assert daemon.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
    assert daemon.stop() == 0


@as_root
@two_cores
def test_an_interface_that_is_down_is_told_at_start(configure, start, veth):
    daemon = start(configure(client=f"{{interface: {veth[0]}, driver: AF_PACKET}}"))
    assert f"synproxyd: warning: {veth[0]}: is down" in daemon.said()


@two_cores
def test_an_output_that_takes_nothing_is_no_reason_to_stop(configure, tmp_path):
    config = configure()
    with open("/dev/full", "wb") as full:
        process = subprocess.Popen(command("run", config), stdout=full, stderr=full)
    socket_path = tmp_path / "synproxy.sock"
    deadline = time.monotonic() + READY_S
    while not socket_path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(READY_S) == 0
    assert left_behind(tmp_path) == []


@two_cores
def test_it_is_ready_and_healthy_and_counts(configure, start):
    daemon = start(configure())
    assert daemon.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
    stats = json.loads(daemon.synproxy("stats", "-o", "json"))
    assert [worker["lcore"] for worker in stats["workers"]] == [LCORES[-1]]
    assert [port["role"] for port in stats["ports"]] == ["client", "server"]
    assert int(stats["workers"][0]["turns"]) > 0
    assert all(int(pool["in_use"]) <= int(pool["size"]) for pool in stats["mempools"])


@two_cores
def test_an_update_is_answered_when_the_worker_runs_it(configure, start):
    daemon = start(configure())
    lines = daemon.synproxy("service", "set", "web", "mss=1300", "wscale=3").splitlines()
    assert lines[1].split() == ["mss", "1400", "1300"]
    assert lines[2].split() == ["wscale", "7", "3"]
    assert lines[3].startswith("all workers run generation 2 after ")
    stats = json.loads(daemon.synproxy("stats", "-o", "json"))
    assert [worker["generation"] for worker in stats["workers"]] == ["2"]


@two_cores
def test_only_workers_run_on_the_workers_cores(configure, start):
    daemon = start(configure())
    daemon.synproxy("stats")
    cores = cores_of(daemon)
    assert cores.count(str(LCORES[-1])) == 1
    assert set(cores) == {str(LCORES[0]), str(LCORES[-1])}


@two_cores
def test_a_socket_left_by_a_killed_daemon_is_no_obstacle(configure, start):
    first = start(configure())
    first.stop(signal.SIGKILL)
    assert Path(first.address.removeprefix("unix:")).exists()
    second = start(configure())
    assert second.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
    assert second.stop() == 0


def xdp_program(interface):
    link = link_read(interface)
    assert link is not None
    return link.xdp_program


@as_root
@two_cores
def test_an_xdp_program_left_by_a_killed_daemon_is_no_obstacle(configure, start, veth):
    ports = {"client": f"{{interface: {veth[0]}}}", "server": f"{{interface: {veth[1]}}}"}
    start(configure(**ports)).stop(signal.SIGKILL)
    assert xdp_program(veth[0])
    assert start(configure(**ports)).stop() == 0
    assert not xdp_program(veth[0])


@two_cores
def test_systemd_is_told(configure, start, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(READY_S)
        config = configure()
        daemon = start(config, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
        assert channel.recv(64) == b"READY=1"
        daemon.process.send_signal(signal.SIGHUP)
        assert re.fullmatch(rb"RELOADING=1\nMONOTONIC_USEC=[0-9]+", channel.recv(64))
        assert channel.recv(64) == b"READY=1\nSTATUS=running"
        config.write_text("x" * 100_000)
        daemon.process.send_signal(signal.SIGHUP)
        assert channel.recv(64).startswith(b"RELOADING=1")
        assert channel.recv(1024).startswith(f"READY=1\nSTATUS=reload failed: {config}".encode())
        daemon.stop()
        assert channel.recv(64) == b"STOPPING=1"


@two_cores
def test_over_tcp_it_serves_its_own_host(configure, start):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{probe.getsockname()[1]}"
    daemon = start(configure(address=address))
    daemon.address = address
    assert daemon.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
    second = finished("run", configure("second", address=address))
    assert second.returncode == ExitCode.UNAVAILABLE
    assert second.stderr.splitlines()[-1].startswith("synproxyd: management.address: can't listen")
    assert daemon.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
