"""Completion of synproxy's words in the shells themselves, each with its script loaded."""

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from appliance.cli.complete import DEADLINE_S
from appliance.cli.main import COMMANDS, main
from appliance.cli.options import option_fields
from appliance.exit_codes import ExitCode

from . import conftest
from .pty_screen import PtyScreen

SHELLS = ("bash", "zsh", "fish")
BIN = Path(sys.executable).parent
FIRST_WORD_S = 0.15     # as --help
ASKING_S = 0.4 + DEADLINE_S
ATTEMPTS = 7
MANY = 10_000
TAB, CLEAR = "\t", "\x15\x0c"    # Ctrl-U: the line; Ctrl-L: the screen

# What is typed, and what the line is then; "·" for a space at its end.
TYPED = [
    ("hea", "health·"),
    ("server li", "server list·"),
    ("service g", "service get·"),
    ("service get w", "service get web·"),
    ("service delete m", "service delete mail·"),
    ("server list --service w", "server list --service web·"),
    ("connection list --service m", "connection list --service mail·"),
    ("stats --service web --service m", "stats --service web --service mail·"),
    ("capture --service w", "capture --service web·"),
    ("capture --reason tx_f", "capture --reason tx_full·"),
    ("event watch --service w", "event watch --service web·"),
    ("event watch --reason cookies_of", "event watch --reason cookies_off·"),
    ("event watch --reason worker_s", "event watch --reason worker_stalled·"),
    ("service set web wsc", "service set web wscale="),
    ("service set web mss=1400 act", "service set web mss=1400 activation="),
    ("service set web activation=MO", "service set web activation=MONITOR·"),
    ("service set web sack=t", "service set web sack=true·"),
    ("service set web timeouts.cl", "service set web timeouts.closed="),
    ("service create new --port 80 ecn=f", "service create new --port 80 ecn=false·"),
    ("service set web -o j", "service set web -o json·"),
    ("service set web --output y", "service set web --output yaml·"),
    ("service set web --val", "service set web --validate-only·"),
    ("stats --inter", "stats --interval·"),
    ("completion f", "completion fish·"),
    ("explain limits.half", "explain limits.half_open·"),
    ("explain cookie_v", "explain cookie_valid·"),
    ("explain ServicesService.Up", "explain ServicesService.UpdateService·"),
    ("explain ServicesService/Up", "explain ServicesService/UpdateService·"),
    ("explain ListServersReq", "explain ListServersRequest·"),
    ("explain Event.passed", "explain Event.passed_over·"),
]


def environment(address):
    return {"SYNPROXY_ADDRESS": address, "PATH": f"{BIN}:{os.environ['PATH']}", "PS1": "$ ",
            "HOME": os.environ["HOME"], "INPUTRC": "/dev/null", "LC_ALL": "C.UTF-8"}


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """fish makes folders there."""
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.fixture
def script(tmp_path):
    def write(shell):
        path = tmp_path / f"completion.{shell}"
        path.write_text(CliRunner().invoke(main, ["completion", shell]).stdout)
        return path

    return write


class Shell:
    """An interactive one, at its prompt."""

    def __init__(self, name, script, address):
        command, before, self.tabs = {
            "bash": (["bash", "--norc", "-i"], "", 2),
            "zsh": (["zsh", "-f", "-i"], "autoload -Uz compinit && compinit -u -D && ", 1),
        }[name]
        self.screen = PtyScreen(command, 200, 40, environment(address))
        self.screen.until(lambda lines: lines[0] == "$")
        self.screen.press(f"{before}source {script} && clear && echo ready\n")
        self.screen.until(lambda lines: lines[:2] == ["ready", "$"])

    def type(self, words):
        """On an empty line of an empty screen, so that no former line is taken for it."""
        self.screen.press(CLEAR)
        self.screen.until(lambda lines: lines[0] == "$" and not any(lines[1:]))
        self.screen.press(f"synproxy {words}")
        self.screen.until(lambda lines: lines[0] == f"$ synproxy {words}".rstrip())

    def completed(self, words):
        """The line after Tab, with "·" where one more letter comes after a space.  The letter is
        typed while it completes, and comes behind that."""
        self.type(words)
        self.screen.press(f"{TAB}!")
        line = self.screen.until(lambda lines: lines[0].endswith("!"))[0]
        return re.sub(r" !$", "·", line.removeprefix("$ synproxy ")).removesuffix("!")

    def lists(self, words, names):
        """Waits until they stand below the line after Tab, which bash wants twice; of zsh a second
        one takes the first of them."""
        self.type(words)
        self.screen.press(TAB * self.tabs)
        self.screen.until(lambda lines: set(names) <= set(" ".join(lines[1:]).split()))


@pytest.fixture(params=["bash", "zsh"])
def shell(request, daemon, script):
    started = Shell(request.param, script(request.param), daemon.address)
    with started.screen:
        yield started


def test_a_shell_completes_the_line(shell):
    assert [(words, shell.completed(words)) for words, _ in TYPED] == TYPED


def test_a_shell_lists_what_there_is(shell):
    shell.lists("", COMMANDS)
    shell.lists("service get ", ["web", "mail"])
    shell.lists("service set web ", [f"{path}=" for path, _ in option_fields()])


def test_an_address_that_bash_takes_apart_is_followed(script, daemon, tmp_path):
    shell = Shell("bash", script("bash"), f"unix:{tmp_path}/none.sock")
    with shell.screen:
        words = f"--address {daemon.address} service get "
        assert shell.completed(f"{words}w") == f"{words}web·"


def fish(script, address, words):
    run = subprocess.run(
        ["fish", "--no-config", "-c",
         f'source {script("fish")}; complete -C "synproxy {words}"'],
        capture_output=True, text=True, check=True, env={**os.environ, **environment(address)})
    assert run.stderr == ""
    return [line.split("\t") for line in run.stdout.splitlines()]


@pytest.mark.parametrize(("words", "line"), TYPED)
def test_fish_completes_the_line(script, daemon, words, line):
    """Where it puts no space of its own is fish's rule: after "="."""
    (word, *_), = fish(script, daemon.address, words)
    assert word == line.rstrip("·").rpartition(" ")[2]


def test_fish_says_what_words_mean(script, daemon):
    assert dict(fish(script, daemon.address, ""))["stats"] == COMMANDS["stats"][1]
    assert fish(script, daemon.address, "service get ") == [["mail"], ["web"]]
    assert "default" in dict(fish(script, daemon.address, "service set web mss"))["mss="]


def asked(address, line, *options, shell="fish"):
    """What the program answers a shell."""
    return subprocess.run(
        [sys.executable, "-P", *options, "-c",
         "from appliance.cli.main import main; main(prog_name='synproxy')"],
        capture_output=True, text=True, check=False,
        env={**os.environ, **environment(address), "_SYNPROXY_COMPLETE": f"{shell}_complete",
             "COMP_WORDS": f"synproxy {line}", "COMP_CWORD": line.rpartition(" ")[2]})


def test_the_first_word_costs_no_commands_module():
    code = ("import os, sys; from appliance.cli.main import main\n"
            "try: main(prog_name='synproxy')\n"
            "finally: print(*sys.modules, file=sys.stdout)")
    run = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False,
        env={**os.environ, "_SYNPROXY_COMPLETE": "fish_complete", "COMP_WORDS": "synproxy se",
             "COMP_CWORD": "se"})
    *words, modules = run.stdout.splitlines()
    assert [word.split("\t")[0].removeprefix("plain,") for word in words] == [
        name for name in COMMANDS if name.startswith("se")]
    assert not {module for module, _ in COMMANDS.values()} & set(modules.split())
    assert not {"grpc", "rich", "yaml", "google.protobuf"} & set(modules.split())


def fastest(address, line):
    times = []
    for _ in range(ATTEMPTS):
        began = time.monotonic()
        asked(address, line)
        times.append(time.monotonic() - began)
    return min(times)


def test_the_first_word_comes_at_once(daemon):
    assert fastest(daemon.address, "se") <= FIRST_WORD_S


def test_a_daemon_that_does_not_answer_is_not_waited_for(tmp_path):
    path = str(tmp_path / "deaf.sock")
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.bind(path)
        deaf.listen()
        assert DEADLINE_S < 0.3
        assert fastest(f"unix:{path}", "service get w") <= ASKING_S
        run = asked(f"unix:{path}", "service get w")
    assert (run.stdout.strip(), run.stderr) == ("", "")


def test_thousands_of_services_are_told_in_time(monkeypatch, tmp_path):
    services = "".join(
        f"  - {{name: s{number:05}, prefixes: [10.0.{number >> 8}.{number & 255}], ports: [80]}}\n"
        for number in range(MANY))
    monkeypatch.setattr(conftest, "SLOTS", MANY)
    text = f"{conftest.MINIMAL}limits: {{services: {MANY}}}\nservices:\n{services}"
    with conftest.Daemon(tmp_path / "api.sock", text=text) as daemon:
        # What isn't told within DEADLINE_S isn't told: as with times, the best of some counts.
        words = max((asked(daemon.address, "service get s0012").stdout.splitlines()
                     for _ in range(ATTEMPTS)), key=len)
    assert words == [f"plain,s0012{digit}" for digit in range(10)]


@pytest.mark.parametrize("address", ["unix:/nonexistent/api.sock", "127.0.0.1:1", "nonsense"])
def test_without_a_daemon_nothing_is_said(address):
    run = asked(address, "service get w")
    assert (run.stdout.strip(), run.stderr) == ("", "")


def test_the_daemon_is_asked_with_the_certificates_of_the_line(
    doors, authority, other_authority
):
    for issuer, answered in ((authority, True), (other_authority, False)):
        caller = issuer.certificate("viewer", "DNS:operator.example")
        run = asked("", f"--address {doors.tls} --tls-ca {authority.file}"
                        f" --tls-cert {caller.file} --tls-key {caller.key} service get w")
        assert ("web" in run.stdout) == answered
        assert run.stderr == ""


@pytest.mark.parametrize("shell", SHELLS)
def test_a_script_is_printed(shell):
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == ExitCode.OK
    assert f"_SYNPROXY_COMPLETE={shell}_complete" in result.stdout


def test_an_unknown_shell_is_a_usage_error():
    assert CliRunner().invoke(main, ["completion", "tcsh"]).exit_code == ExitCode.USAGE
