"""synproxy-entrypoint as a process: what it shows, what it refuses in one line, how it ends."""

import json
import re
import signal
import subprocess
import sys

import pytest

from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until

from .daemon_process import READY_S, as_root, left_behind, two_cores
from .imported import imported_with

PROGRAM = [sys.executable, "-P", "-m", "appliance.container.entrypoint"]
XDP = "{{interface: {}}}"
PACKET = "{{interface: {}, driver: AF_PACKET}}"


@pytest.fixture
def contained(configure, tmp_path):
    """A configuration that leaves out what a container says, and the environment for it."""

    def write(left_out=("workers", "eal"), **changes):
        config = configure(**changes)
        config.write_text("".join(
            line for line in config.read_text().splitlines(keepends=True)
            if not line.startswith(left_out)))
        return config, {"SYNPROXY_CONFIG": str(config), "RUNTIME_DIRECTORY": str(tmp_path)}

    return write


def refused(env, before=()):
    """How it ended, and its one line."""
    result = subprocess.run(
        ["env", *(f"{name}={value}" for name, value in env.items()), *before, *PROGRAM],
        capture_output=True, text=True, timeout=READY_S, check=False)
    assert result.stdout == ""
    lines = [line for line in result.stderr.splitlines() if not is_choice(line)]
    assert len(lines) == 1
    return result.returncode, lines[0].removeprefix("synproxyd: ")


def is_choice(line):
    return re.match(r"synproxyd: [a-z_.]+ \S+: ", line)


@two_cores
def test_it_shows_what_it_chose_and_runs_it_until_it_is_asked_to_end(contained, start, tmp_path):
    config, env = contained()
    daemon = start(config, env, program=PROGRAM)
    (prefix,) = re.findall(
        r"^synproxyd: eal.file_prefix (\S+): the container's mount namespace$", daemon.said(),
        re.MULTILINE)
    arguments = json.loads(daemon.synproxy("system", "show", "-o", "json"))["eal_arguments"]
    assert arguments[arguments.index("--file-prefix") + 1] == prefix
    # What was chosen is no difference to the file, which is taken as it was.
    daemon.process.send_signal(signal.SIGHUP)
    until(lambda: "reload: taken: runs already" in daemon.said(), seconds=READY_S,
          what="the file to be taken")
    assert daemon.stop(signal.SIGTERM) == 0
    assert left_behind(tmp_path) == []
    assert list((tmp_path / "dpdk").iterdir()) == []


def test_it_holds_signals_before_it_imports_what_takes_time():
    """They would be lost to the first process of a container."""
    imported = imported_with("appliance.container.entrypoint")
    assert "appliance.signals" in imported
    assert not {"grpc", "yaml", "cython_core", "synproxy"} & imported


def test_one_cpu_is_refused(contained):
    _, env = contained()
    code, line = refused(env, ["taskset", "--cpu-list", "0"])
    assert code == ExitCode.UNAVAILABLE
    assert line == ("this process may use one CPU only, 0; give it two: one polls the ports, one"
                    " does all else")


def test_too_few_huge_pages_are_refused(contained):
    _, env = contained(hugepages="true", size_mib=1048576)
    code, line = refused(env)
    assert code == ExitCode.UNAVAILABLE
    assert "asks for 1048576 MiB of huge pages" in line
    assert line.endswith("or set memory.hugepages to false")


@as_root
def test_an_interface_that_is_not_there_is_refused(contained):
    _, env = contained(client=PACKET.format("nosuch0"))
    code, line = refused(env)
    assert code == ExitCode.UNAVAILABLE
    assert line.startswith("nosuch0: no such interface in this network namespace")


@as_root
@pytest.mark.parametrize(("port", "without", "lacking"), [
    (PACKET, "-net_raw", "net_af_packet needs CAP_NET_RAW"),
    (XDP, "-net_admin", "net_af_xdp needs CAP_NET_ADMIN"),
    (XDP, "-sys_admin", "net_af_xdp needs CAP_SYS_ADMIN"),
])
def test_a_capability_that_its_driver_needs_is_named(contained, veth, port, without, lacking):
    _, env = contained(client=port.format(veth[0]))
    code, line = refused(env, ["setpriv", "--bounding-set", without, "--inh-caps=-all"])
    assert code == ExitCode.DENIED
    assert line.startswith(f"{veth[0]}: {lacking}; ")
    assert "--cap-add of a container" in line


@as_root
def test_too_little_memory_to_lock_is_refused_with_how_much_it_takes(contained, veth):
    _, env = contained(client=XDP.format(veth[0]))
    code, line = refused(env, [
        "prlimit", "--memlock=65536", "setpriv", "--bounding-set", "-ipc_lock", "--inh-caps=-all"])
    assert code == ExitCode.DENIED
    assert re.search(r"and this process may lock 64 KiB; .*`--ulimit memlock=\d+`", line)


def test_a_device_that_the_environment_has_not_is_refused(contained):
    _, env = contained(client="{pci: PCIDEVICE_EXAMPLE_COM_CLIENT}")
    code, line = refused(env)
    assert code == ExitCode.UNAVAILABLE
    assert line.startswith("ports.client.pci: PCIDEVICE_EXAMPLE_COM_CLIENT has no device for it; ")


def test_what_the_environment_has_wrong_is_named_by_its_field(contained):
    _, env = contained(client="{pci: PCIDEVICE_EXAMPLE_COM_CLIENT}")
    code, line = refused(env | {"PCIDEVICE_EXAMPLE_COM_CLIENT": "03:02"})
    assert code == ExitCode.INVALID
    assert line == "ports.client.pci: must be a PCI address such as 0000:03:00.0, not 03:02"


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path):
    code, line = refused({"SYNPROXY_CONFIG": f"{tmp_path}/none.yaml"})
    assert code == ExitCode.USAGE
    assert line == (
        f"{tmp_path}/none.yaml: can't be read: No such file or directory;"
        " mount its folder there, or name another by SYNPROXY_CONFIG")


@as_root
def test_a_file_in_a_folder_that_may_not_be_entered_wants_rights(contained, tmp_path):
    config, env = contained()
    tmp_path.chmod(0o700)
    code, line = refused(env, ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"])
    assert code == ExitCode.DENIED
    assert line == (f"{config}: can't be read: Permission denied;"
                    " let user 65534 read it, and enter its folder")
