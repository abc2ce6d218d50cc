"""What synproxyd needs of the host and doesn't get: one line, an exit code, nothing left behind."""

from pathlib import Path

from appliance.api import SERVICE_NAMES
from appliance.exit_codes import ExitCode
from cython_core.dataplane import VECTORS

from .daemon_process import LCORES, Running, as_root, finished, left_behind, opened, two_cores
from .xdp import xdp_attached


def refused(config: Path, **how: object) -> tuple[int, str]:
    """How it ended, and its one line."""
    result = finished("run", config, **how)
    assert result.stdout == ""
    assert result.stderr.startswith("synproxyd: ")
    assert result.stderr.count("\n") == 1
    assert left_behind(config.parent) == []
    return result.returncode, result.stderr


def test_no_huge_pages(configure):
    code, line = refused(configure(hugepages="true", size_mib=1048576))
    assert code == ExitCode.UNAVAILABLE
    assert "asks for 1048576 MiB of huge pages" in line
    assert "set memory.hugepages to false" in line


@as_root
def test_no_rights(configure, veth):
    config = configure(
        client=f"{{interface: {veth[0]}}}", address="127.0.0.1:50051"
    )
    opened(config)
    config.chmod(0o644)
    code, line = refused(config, user=65534, group=65534, extra_groups=[])
    assert code == ExitCode.DENIED
    assert f"{veth[0]}: net_af_xdp needs CAP_NET_RAW and CAP_NET_ADMIN and CAP_SYS_ADMIN" in line


def test_no_such_interface(configure):
    code, line = refused(configure(client="{interface: nosuch0, driver: AF_PACKET}"))
    assert code in (ExitCode.UNAVAILABLE, ExitCode.DENIED)
    assert "nosuch0: no such interface" in line or "CAP_NET_RAW" in line


@as_root
def test_an_interface_with_somebody_elses_xdp_program(configure, veth):
    with xdp_attached(veth[0]):
        code, line = refused(configure(client=f"{{interface: {veth[0]}}}"))
    assert code == ExitCode.UNAVAILABLE
    assert f"{veth[0]}: is in use, XDP program " in line
    assert f"`ip link set dev {veth[0]} xdp off`" in line


@as_root
@two_cores
def test_an_interface_of_another_daemon(configure, start, veth):
    port = f"{{interface: {veth[0]}, driver: AF_PACKET}}"
    first = start(configure("first", client=port))
    code, line = refused_beside(first, configure("second", client=port))
    assert code == ExitCode.UNAVAILABLE
    assert f"{veth[0]}: is in use by another synproxyd" in line


@two_cores
def test_an_api_socket_of_another_daemon(configure, start):
    first = start(configure("first"))
    code, line = refused_beside(first, configure("second", address=first.address))
    assert code == ExitCode.UNAVAILABLE
    assert "another daemon listens at" in line


def refused_beside(first: Running, config: Path) -> tuple[int, str]:
    """The same beside a running daemon, which doesn't feel it."""
    result = finished("run", config)
    assert result.stderr.count("\n") == 1
    assert first.synproxy("health").count("SERVING") == len(SERVICE_NAMES) + 2
    return result.returncode, result.stderr


def test_no_such_core(configure):
    code, line = refused(configure(worker=127))
    assert code == ExitCode.UNAVAILABLE
    assert "workers names lcore 127" in line


def test_vectors_that_the_processor_lacks(configure):
    lacking = "x86-64-v2" if VECTORS == ("baseline",) else "baseline"
    code, line = refused(configure(control=f"{LCORES[0]}, vector: {lacking}"))
    assert code == ExitCode.UNAVAILABLE
    assert (f"workers.vector is {lacking}, but what this host can run is {', '.join(VECTORS)};"
            " name one of these, or auto") in line


def test_no_folder_for_the_socket(configure, tmp_path):
    code, line = refused(configure(address=f"unix:{tmp_path}/missing/api.sock"))
    assert code == ExitCode.UNAVAILABLE
    assert f"mkdir -p {tmp_path}/missing" in line


def test_a_device_that_dpdk_does_not_know(configure):
    code, line = refused(configure(client="{device: net_nonsense0}"))
    assert code == ExitCode.UNAVAILABLE
    assert "net_nonsense0" in line


@as_root
def test_a_socket_that_cannot_be_bound_is_told_in_one_line(configure):
    code, line = refused(configure(address="unix:/proc/api.sock"))
    assert code == ExitCode.UNAVAILABLE
    assert "can't listen at unix:/proc/api.sock" in line
