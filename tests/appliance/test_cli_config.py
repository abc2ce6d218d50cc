"""synproxy config: what it prints, and how it ends."""

import json
import re
import subprocess
import time

import pytest
import yaml
from click.testing import CliRunner
from synproxy.v1.rule_pb2 import ROLE_OPERATOR, ROLE_VIEWER

from appliance.cli.main import main
from appliance.config.load import config_load, config_parse
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from appliance.management import bounds

from .conftest import MINIMAL, SERVICES, Daemon
from .daemon_process import as_root, opened

NAME = "a" * 62
DNS = "  - {name: dns, prefixes: [192.0.2.53], ports: [53]}\n"
# The commands that are given a configuration to read.
READING = [("config", "check"), ("config", "apply"), ("doctor", "--config")]


@pytest.fixture
def config(synproxy):
    def run(*arguments, code=ExitCode.OK):
        result = synproxy("config", *arguments)
        assert result.exit_code == code, result.output
        return result.stdout if code == ExitCode.OK else result.stderr

    return run


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "wanted.yaml"
    path.write_text(SERVICES.replace("1400", "1300") + DNS)
    return str(path)


def test_show_is_a_configuration_file(daemon, synproxy, config):
    synproxy("service", "set", "web", "mss=1300")
    shown = config("show")
    read = config_parse(shown.encode(), "f")
    expected = config_load(daemon.path)
    expected.services[0].options.mss = 1300
    assert read == expected
    assert shown.splitlines()[0].startswith("# revision 2, 20")
    assert shown.splitlines()[0].endswith(f"Z, {daemon.address}")
    assert "# changes over gRPC last until the daemon ends" in shown
    assert "mss: 1400" in config("show", "--revision", "1")
    assert json.loads(config("show", "-o", "json"))["etag"].startswith("2-")


def test_show_says_why_the_file_was_not_taken(daemon, config):
    daemon.path.write_text("services: 7\n")
    daemon.call(daemon.reloader.reload("SIGHUP"))
    lines = config("show").splitlines()
    assert lines[1] == f"# {daemon.path} was not taken:"
    assert f"#   {daemon.path}:1:1: ports: is required" in lines[2:4]
    assert any(line.startswith(f"#   {daemon.path}:1:11: services: ") for line in lines[2:4])


def test_diff_shows_the_file_against_what_runs(daemon, synproxy, config):
    assert config("diff") == "nothing differs\n"
    synproxy("service", "set", "web", "mss=1300", "sack=false")
    assert [line.split() for line in config("diff").splitlines()] == [
        ["RESOURCE", "FIELD", "RUNNING", "FILE"],
        ["services/web", "options.mss", "1300", "1400"],
        ["services/web", "options.sack", "false", "-"],
    ]
    assert config("diff", "--revision", "1").splitlines()[0].split() == [
        "RESOURCE", "FIELD", "RUNNING", "REVISION", "1"]
    assert json.loads(config("diff", "-o", "json"))["differences"][0]["before"] == "1300"


def test_what_an_answer_has_no_room_for_is_counted(daemon, config, file, monkeypatch):
    monkeypatch.setattr("appliance.management.config.DIFFERENCES_BYTES_MAX", 0)
    assert re.search(r"\n[1-9][0-9]* more, for which an answer has no room\n",
                     config("apply", file, "--validate-only"))


def test_diff_says_what_takes_a_restart(daemon, config):
    daemon.path.write_text(SERVICES.replace("net_ring0", "net_ring5"))
    lines = config("diff").splitlines()
    assert lines[1].split() == ["-", "ports.client.device", "net_ring0", "net_ring5"]
    assert lines[2] == (
        "until a restart nothing of the file is taken, because of ports.client.device")


def test_diff_can_end_with_what_it_found(synproxy):
    assert synproxy("config", "diff", "--exit-code").exit_code == ExitCode.OK
    synproxy("service", "set", "web", "mss=1300")
    assert synproxy("config", "diff").exit_code == ExitCode.OK
    assert synproxy("config", "diff", "--exit-code").exit_code == ExitCode.CONFLICT


@pytest.mark.parametrize("how", [(), ("--exit-code",)])
def test_a_file_with_mistakes_is_no_file_that_differs(daemon, config, how):
    daemon.path.write_text("services: 7\n")
    lines = config("diff", *how, code=ExitCode.INVALID).splitlines()
    assert sorted(line.split(": ")[:3] for line in lines) == [
        ["synproxy", f"{daemon.path}:1:1", "ports"],
        ["synproxy", f"{daemon.path}:1:11", "services"],
    ]
    daemon.path.unlink()
    assert config("diff", *how, code=ExitCode.INVALID) == (
        f"synproxy: {daemon.path}: can't be read: No such file or directory\n")


def test_the_help_of_diff_says_how_it_ends(config):
    said = " ".join(config("diff", "--help").split())
    assert f"End with exit code {ExitCode.CONFLICT.value} where anything differs." in said
    assert f"Exit code {ExitCode.INVALID.value} where the file has mistakes" in said


def test_apply_shows_what_it_changed_and_how_long_it_took(config, file):
    lines = config("apply", file).splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["RESOURCE", "FIELD", "BEFORE", "AFTER"],
        ["services/web", "options.mss", "1400", "1300"],
        ["services/dns", "name", "-", "dns"],
    ]
    assert lines[-1].startswith("revision 2: all workers run generation 2 after ")
    assert config("apply", file) == "nothing differs\nnothing was changed\n"


def test_apply_validates_only(config, file):
    assert config("apply", file, "--validate-only").splitlines()[-1] == "nothing was changed"
    assert len(config("history").splitlines()) == 2


def test_each_line_that_refuses_a_file_names_it(daemon, config, tmp_path):
    wanted = tmp_path / "wanted.yaml"
    wanted.write_text(SERVICES.replace("net_ring1", "net_ring5") + "limits: {half_open: 64}\n")
    lines = config("apply", str(wanted), code=ExitCode.CONFLICT).splitlines()
    assert [line.split(": ")[:3] for line in lines] == [
        ["synproxy", str(wanted), "ports.server.device"],
        ["synproxy", str(wanted), "limits.half_open"],
        ["synproxy", str(wanted), "nothing was applied"],
    ]


def test_apply_with_confirmation_says_what_to_do(synproxy, config, file):
    lines = config("apply", file, "--confirm-within", "60s").splitlines()
    assert lines[-1] == (
        "`synproxy config confirm 2` within 1m, or revision 1 comes back")
    assert "revision 2 waits" in synproxy("service", "set", "web", "mss=1000").stderr
    assert config("confirm", "1", code=ExitCode.CONFLICT) == (
        "synproxy: revision 2 waits, not 1\n")
    assert config("confirm") == "revision 2 is confirmed\n"
    assert config("confirm", code=ExitCode.CONFLICT) == (
        "synproxy: no revision waits for a confirmation\n")
    assert "runs, confirmed" in config("history")


def test_what_nobody_confirms_comes_back_and_history_says_so(config, file):
    config("apply", file, "--confirm-within", "1s")
    assert "unconfirmed" in config("history").splitlines()[1]
    time.sleep(1.3)
    lines = config("history").splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["3", "2", "1"]
    assert "rollback: revision 2 was not confirmed in 1s  runs" in lines[1]
    assert "not confirmed" in lines[2]


def test_history_says_who_when_how_and_what(daemon, synproxy, config):
    synproxy("service", "set", "web", "mss=1300")
    head, changed, first = config("history").splitlines()
    assert head.split() == ["REVISION", "TIME", "BY", "HOW", "STATE", "CHANGED"]
    number, when, by, how, state, what = changed.split(maxsplit=5)
    assert (number, by, state) == ("2", daemon.address, "runs")
    assert how == "ServicesService/UpdateService"
    assert what == "services/web options.mss 1400 -> 1300"
    assert when.endswith("Z")
    assert f"file {daemon.path}" in first
    assert first.endswith("; 5 more")
    assert len(config("history", "-n", "1").splitlines()) == 2
    listed = yaml.safe_load(config("history", "-o", "yaml"))
    assert [one["number"] for one in listed["revisions"]] == ["2", "1"]


def test_history_may_be_longer_than_a_page(synproxy, config, monkeypatch):
    monkeypatch.setattr("appliance.cli.config.PAGE_SIZE", 2)
    for mss in range(1000, 1004):
        synproxy("service", "set", "web", f"mss={mss}")
    for count in (3, 4, 20):
        assert [line.split()[0] for line in config("history", "-n", str(count)).splitlines()][
            1:] == ["5", "4", "3", "2", "1"][:count]


def test_programs_get_the_message(config, file):
    applied = json.loads(config("apply", file, "-o", "json"))
    assert (applied["revision"]["number"], applied["generation"]) == ("2", "2")
    assert json.loads(config("rollback", "1", "-o", "json"))["revision"]["number"] == "3"


def test_rollback_goes_to_a_number(synproxy, config, file):
    config("apply", file)
    lines = config("rollback", "1").splitlines()
    assert lines[-1].startswith("revision 3: all workers run generation 3")
    assert "mss=1400" in synproxy("service", "list").stdout
    assert "\ndns" not in synproxy("service", "list").stdout


def test_save_writes_what_show_shows(synproxy, config, tmp_path):
    synproxy("service", "set", "web", "mss=1300")
    path = tmp_path / "saved.yaml"
    assert config("save", str(path)) == ""
    assert path.read_text() == config("show")
    assert path.stat().st_mode & 0o777 == 0o600
    config("save", "--revision", "1", "--replace", str(path))
    assert path.read_text() == config("show", "--revision", "1")
    assert [one.name for one in tmp_path.glob("*saved*")] == ["saved.yaml"]


def test_save_leaves_a_file_that_is_there(config, file, tmp_path):
    before = (tmp_path / "wanted.yaml").read_text()
    assert f"{file} is there; --replace puts" in config("save", file, code=ExitCode.USAGE)
    config("save", "--revision", "99", "--replace", file, code=ExitCode.NOT_FOUND)
    assert (tmp_path / "wanted.yaml").read_text() == before
    assert [one.name for one in tmp_path.glob("*wanted*")] == ["wanted.yaml"]


def test_check_says_what_synproxyd_check_says(config, file):
    assert config("check", file) == f"{file}: ok: services 3, prefixes 3, workers 1\n"


@pytest.mark.parametrize(("arguments", "code", "words"), [
    (["check", "{bad}"], ExitCode.INVALID, "{bad}:6:83: services[0].options.mss"),
    (["check", "/proc/self/mem"], ExitCode.FAILED, "can't be read: Input/output error"),
    (["check"], ExitCode.USAGE, "Missing argument"),
    (["save"], ExitCode.USAGE, "Missing argument"),
    (["save", "/nonexistent/f.yaml"], ExitCode.FAILED,
     "/nonexistent/f.yaml: can't be written: No such file or directory"),
    (["save", "/"], ExitCode.USAGE, "is a directory"),
    (["rollback", "99"], ExitCode.NOT_FOUND, "there is no revision 99"),
    (["show", "--revision", "99"], ExitCode.NOT_FOUND, "there is no revision 99"),
    (["diff", "--revision", "99"], ExitCode.NOT_FOUND, "there is no revision 99"),
    (["rollback"], ExitCode.USAGE, "Missing argument"),
    (["rollback", "0"], ExitCode.USAGE, "x>=1"),
    (["rollback", "one"], ExitCode.USAGE, "not a valid integer"),
    (["apply"], ExitCode.USAGE, "Missing argument"),
    (["apply", "/proc/self/mem"], ExitCode.FAILED, "can't be read: Input/output error"),
    (["apply", "{file}", "--etag", "x"], ExitCode.CONFLICT, "revision 1 runs"),
    (["apply", "{file}", "--confirm-within", "60"], ExitCode.USAGE, "it needs a unit"),
    (["apply", "{file}", "--confirm-within", "0s"], ExitCode.INVALID, "must be 1s..24h, not 0s"),
    (["apply", "{bad}"], ExitCode.INVALID, "{bad}:6:83: services[0].options.mss"),
    (["apply", "{restart}"], ExitCode.CONFLICT, "limits.half_open: 65536 -> 64 takes a restart"),
    (["nonsense"], ExitCode.USAGE, "No such command"),
    (["history", "-n", "0"], ExitCode.USAGE, "x>=1"),
])
def test_exit_codes(synproxy, file, tmp_path, arguments, code, words):
    bad, restart = tmp_path / "bad.yaml", tmp_path / "restart.yaml"
    bad.write_text(SERVICES.replace("options: {mss: 1400}", "options: {mss: 1}"))
    restart.write_text(SERVICES + "limits: {half_open: 64}\n")
    places = {"file": file, "bad": bad, "restart": restart}
    result = synproxy("config", *(one.format(**places) for one in arguments))
    assert result.exit_code == code
    assert words.format(**places) in result.stderr


@pytest.fixture
def long_file(tmp_path):
    """As a request beyond gRPC's own 4 MiB."""
    path = tmp_path / "long.yaml"
    path.write_text(MINIMAL + "services:\n" + "".join(
        f"- {{name: {NAME}{number}, ports: [443], prefixes: ["
        + ", ".join(f'"2001:db8:{number}:{at:x}:1111:2222:3333:4444/128"' for at in range(55_000))
        + "]}\n" for number in range(2)))
    return str(path)


def test_what_a_long_file_says_is_applied(daemon, config, long_file):
    assert "nothing was changed" not in config("apply", long_file)
    running = daemon.catalogue.live.services
    assert list(running) == [f"{NAME}0", f"{NAME}1"]
    assert sum(one.ByteSize() for one in running.values()) > bounds.REQUEST_BYTES_MAX


def test_a_listener_that_takes_no_such_length_says_so(doors, long_file):
    result = CliRunner().invoke(
        main, ["--address", doors.sockets[ROLE_VIEWER], "config", "apply", long_file])
    assert result.exit_code == ExitCode.UNAVAILABLE
    assert re.fullmatch(
        rf"synproxy: {long_file}: a request of [0-9]+ bytes is too long for this listener, which"
        rf" takes {bounds.REQUEST_BYTES_MAX}; those for operators and admins take the most\n",
        result.stderr)


def test_what_no_listener_takes_is_not_sent(daemon, config, file, monkeypatch):
    monkeypatch.setattr(bounds, "APPLY_BYTES_MAX", 100)
    assert "put it in the place of the daemon's own file" in config(
        "apply", file, code=ExitCode.INVALID)
    assert len(daemon.plane.published) == 1


@pytest.mark.parametrize("command", READING, ids=" ".join)
@pytest.mark.parametrize(("place", "reason"), [
    ("none.yaml", "No such file or directory"), (".", "Is a directory"),
    ("wanted.yaml/below", "Not a directory")])
def test_a_file_that_is_not_there_is_told_in_one_line(
    synproxy, file, tmp_path, command, place, reason
):
    path = tmp_path / place
    result = synproxy(*command, str(path))
    assert (result.exit_code, result.stdout, result.stderr) == (
        ExitCode.USAGE, "", f"synproxy: {path}: can't be read: {reason}; name another\n")


@as_root
@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_a_file_of_others_is_denied_in_one_line(file, tmp_path, command):
    opened(tmp_path / "wanted.yaml")
    (tmp_path / "wanted.yaml").chmod(0)
    result = subprocess.run(
        synproxy_command(*command, file),
        capture_output=True, text=True, user=65534, group=65534, extra_groups=[], check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (
        ExitCode.DENIED, "", f"synproxy: {file}: can't be read: Permission denied;"
        " let user 65534 read it, and enter its folder\n")


def test_only_an_operator_may_change_it(doors, file):
    def run(role, *arguments):
        return CliRunner().invoke(
            main, ["--address", doors.sockets[role], "config", *arguments])

    for arguments in (("apply", file), ("confirm",), ("rollback", "1")):
        result = run(ROLE_VIEWER, *arguments)
        assert result.exit_code == ExitCode.DENIED
        assert "needs the role operator" in result.stderr
    for arguments in (("show",), ("diff",), ("history",)):
        assert run(ROLE_VIEWER, *arguments).exit_code == ExitCode.OK
    assert run(ROLE_OPERATOR, "apply", file).exit_code == ExitCode.OK


def test_health_counts_the_configuration_only_where_it_is_asked_to(daemon, synproxy):
    daemon.do(daemon.server.set_configuration, False)
    assert synproxy("health").exit_code == ExitCode.OK
    assert synproxy("health", "--strict").exit_code == ExitCode.UNAVAILABLE
    daemon.do(daemon.server.set_configuration, True)
    assert synproxy("health", "--strict").exit_code == ExitCode.OK


def test_what_is_kept_is_not_said_to_be_lost(tmp_path, state):
    with Daemon(tmp_path / "api.sock", state=state) as daemon:
        shown = CliRunner().invoke(main, ["--address", daemon.address, "config", "show"]).stdout
    assert "last until the daemon ends" not in shown
    assert f"state_folder: {state}" in shown
