"""The unit of systemd: what it calls is there, and what it forbids the daemon can do without."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from synproxy.v1.config_pb2 import Config

from appliance.cli.connection import default_address
from appliance.config.settings import stop_grace_s
from appliance.daemon import main
from appliance.exit_codes import ExitCode

from .daemon_process import as_root, two_cores

UNIT = Path(__file__).parents[2] / "docker/systemd/synproxyd.service"
README = Path(__file__).parents[2] / "README.md"
PROGRAM = "/usr/local/bin/synproxyd"
EXPOSURE = 37


def settings(name):
    """Each value that the unit gives it, in order."""
    return re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.MULTILINE)


def setting(name):
    (value,) = settings(name)
    return value


def test_systemd_takes_it(tmp_path):
    """With the daemon where this build has it."""
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace(PROGRAM, f"{sys.prefix}/bin/synproxyd"))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", copy],
        capture_output=True, text=True, check=False)
    assert [line for line in verified.stderr.splitlines() if copy.name in line] == []
    assert verified.returncode == 0, verified.stderr


def test_systemd_finds_it_no_more_exposed_than_its_drivers_need():
    """Of 100 in `systemd-analyze security`: what is left is for devices, networks and their rights,
    as the unit's own comments have it."""
    rated = subprocess.run(
        ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={EXPOSURE}",
         UNIT], capture_output=True, text=True, check=False)
    assert rated.returncode == 0, rated.stdout[-200:] + rated.stderr


def test_the_readme_puts_it_and_what_it_calls_in_place(tmp_path):
    """Below a folder that stands for the root."""
    section = README.read_text().partition("### As a service\n")[2]
    block = section.partition("```sh\n")[2].partition("```")[0]
    root = tmp_path / "root"
    for folder in ("usr/local/bin", "etc/systemd/system"):
        (root / folder).mkdir(parents=True)
    (tmp_path / "synproxy.yaml").touch()
    (tmp_path / ".venv").symlink_to(sys.prefix)
    for line in block.splitlines():
        if not line.startswith(("systemctl", "journalctl")):
            here = re.sub(r" (/(etc|usr)/)", rf" {root}\1", line)
            subprocess.run(here, shell=True, check=True, cwd=tmp_path)
    assert (root / "etc/systemd/system" / UNIT.name).read_text() == UNIT.read_text()
    assert (root / "etc/synproxy/synproxy.yaml").exists()
    for program in ("synproxyd", "synproxy"):
        subprocess.run([root / "usr/local/bin" / program, "--version"], check=True)


CALLS = [shlex.split(line) for line in settings("ExecStart") + settings("ExecReload")]


@pytest.mark.parametrize("call", [call for call in CALLS if call[0] == PROGRAM], ids=" ".join)
def test_what_it_calls_has_that_command_and_those_options(call):
    verb = main.commands[call[1]]
    options = {name for parameter in verb.params for name in parameter.opts}
    assert {word for word in call[2:] if word.startswith("-")} <= options
    assert call[-1] == "/etc/synproxy/synproxy.yaml"


def test_a_reload_is_checked_and_then_a_sighup():
    assert [call[1] for call in CALLS] == ["run", "check", "-HUP"]


def test_it_is_started_again_unless_that_cannot_help():
    hopeless = {ExitCode.USAGE, ExitCode.INVALID, ExitCode.DENIED}
    assert setting("Restart") == "always"
    assert set(map(int, setting("RestartPreventExitStatus").split())) == hopeless
    assert ExitCode.STALLED not in hopeless


def test_from_which_grace_on_it_wants_a_drop_in_is_said_where_it_is_put_in_place():
    """The end itself takes a second or two, behind the grace."""
    longest = int(setting("TimeoutStopSec").removesuffix("s")) - 3
    assert stop_grace_s(Config()) <= longest
    section = README.read_text().partition("### As a service\n")[2].partition("\n### ")[0]
    assert f"`management.stop_grace` above {longest} s" in section
    assert f"a grace above {longest} s wants a drop-in" in UNIT.read_text()


def test_its_folder_is_where_the_daemon_listens_and_who_may_use_a_socket_may_enter():
    assert default_address().startswith(f"unix:/run/{setting('RuntimeDirectory')}/")
    assert int(setting("RuntimeDirectoryMode"), 8) & 0o001


@as_root
@two_cores
def test_its_rights_are_enough(configure, start, veth, tmp_path):
    """For AF_XDP and a listener's group.  CAP_IPC_LOCK stands for LimitMEMLOCK=infinity, which
    a container may not set."""
    assert setting("LimitMEMLOCK") == "infinity"
    rights = [*setting("CapabilityBoundingSet").split(), "CAP_IPC_LOCK"]
    kept = ",".join(("-all", *(f"+{name.removeprefix('CAP_').lower()}" for name in rights)))
    config = configure(
        client=f"{{interface: {veth[0]}}}", server=f"{{interface: {veth[1]}}}",
        address=f'unix:{tmp_path}/synproxy.sock", listeners: [{{address: "unix:{tmp_path}/v.sock",'
                ' group: adm, role: VIEWER}], state_folder: "' + f"{tmp_path}/state")
    daemon = start(
        config, env={"RUNTIME_DIRECTORY": str(tmp_path)},
        before=["setpriv", "--bounding-set", kept, "--inh-caps=-all", "--no-new-privs"])
    assert "SERVING" in daemon.synproxy("health")
    assert Path(f"/proc/{daemon.process.pid}/status").read_text().count("NoNewPrivs:\t1") == 1
    # EAL's files are in systemd's folder: nothing else below /run can be written.
    assert (tmp_path / "dpdk").is_dir()
    assert daemon.stop() == 0
