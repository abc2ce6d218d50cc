"""--watch of the commands that show a call's answer: the same again and again, until Ctrl-C."""

import json
import signal
import subprocess
import time
from contextlib import contextmanager
from ipaddress import ip_address
from types import SimpleNamespace

import pytest
import yaml

from appliance.cli import watch
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from appliance.pausing import PAUSE_FACTOR
from cython_core.dataplane import LearnedServer

from .conftest import Daemon
from .pty_screen import PtyScreen
from .test_connections import ONE

WITHIN_S = 10
QUICK = ("--watch", "--interval", "0.1")
COMMANDS = [
    ("worker", "list"), ("port", "list"), ("port", "list", "--counters"), ("mempool", "list"),
    ("system", "show"), ("server", "list"), ("connection", "list"),
]
# Those whose answer the daemon goes through a table for.
LONG = [("server", "list"), ("connection", "list")]
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@pytest.fixture(autouse=True)
def _something_to_list(daemon):
    daemon.plane.entries = [ONE]
    daemon.plane.servers = [
        LearnedServer(ip_address("192.0.2.7"), 443, 0, 1460, 7, True, True, 95)]


def begun(daemon, *arguments):
    return subprocess.Popen(
        synproxy_command(*arguments, address=daemon.address), stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, text=True,
    )


def looks_of(watching, head, number):
    """What it writes, once so many lines of it have begun so, and it has ended by Ctrl-C."""
    written = ""
    while number:
        line = watching.stdout.readline()
        assert line, watching.stderr.read()
        written += line
        number -= line.startswith(head)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(WITHIN_S) == ExitCode.OK
    assert watching.stderr.read() == ""
    return written + watching.stdout.read()


@each_command
def test_tables_follow_one_another_until_ctrl_c(daemon, synproxy, command):
    once = synproxy(*command).stdout
    head = once.splitlines()[0]
    written = looks_of(begun(daemon, *command, *QUICK), head, 3)
    before, *looks = written.split(head)
    assert before == ""
    assert {len(look.splitlines()) for look in looks} == {len(once.splitlines())}


@each_command
@pytest.mark.parametrize(("output", "head", "documents"), [
    ("json", "{", lambda text: map(json.loads, text.splitlines())),
    ("yaml", "---\n", yaml.safe_load_all)], ids=["json", "yaml"])
def test_programs_get_a_document_for_each_look(
    daemon, synproxy, command, output, head, documents
):
    (once,) = documents(synproxy(*command, "-o", output).stdout)
    watching = begun(daemon, *command, *QUICK, "-o", output)
    read = list(documents(looks_of(watching, head, 3)))
    assert len(read) >= 3
    assert {tuple(one) for one in read} == {tuple(once)}


def test_each_look_asks_anew(daemon):
    watching = begun(daemon, "mempool", "list", *QUICK, "-o", "json")

    def in_use():
        (pool,) = json.loads(watching.stdout.readline())["mempools"]
        return pool["in_use"]

    assert in_use() == "17"
    daemon.plane.in_use = 1000
    while (now := in_use()) == "17":
        pass
    assert now == "1000"
    looks_of(watching, "{", 1)


@each_command
def test_ctrl_c_ends_a_long_pause(daemon, command):
    looks_of(begun(daemon, *command, "--watch", "--interval", "3600", "-o", "json"), "{", 1)


@pytest.mark.parametrize("command", [("stats",), *COMMANDS], ids=" ".join)
def test_a_daemon_that_goes_is_told_in_one_line(tmp_path, command):
    with Daemon(tmp_path / "other.sock") as other:
        watching = begun(other, *command, *QUICK, "-o", "json")
        assert watching.stdout.readline()
    _, said = watching.communicate(timeout=WITHIN_S)
    assert watching.returncode == ExitCode.UNAVAILABLE
    assert [line.partition(" ")[0] for line in said.splitlines()] == ["synproxy:"], said


@each_command
@pytest.mark.parametrize(("interval", "words"), [
    ("0.05", "0.1<=x<=3600.0"), ("3601", "0.1<=x<=3600.0"), ("nan", "nan is no number of seconds"),
    ("soon", "not a valid float")])
def test_an_interval_out_of_range_is_a_usage_error(synproxy, command, interval, words):
    result = synproxy(*command, "--watch", "--interval", interval)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert words in result.stderr


@pytest.fixture
def pauses(monkeypatch):
    """Of a watch that is ended in the first of them, in seconds."""
    waited = []

    def wait(seconds):
        waited.append(seconds)
        return True

    @contextmanager
    def ended(channel):
        yield SimpleNamespace(wait=wait)

    monkeypatch.setattr(watch, "until_ctrl_c", ended)
    return waited


@pytest.fixture
def slow(daemon, monkeypatch):
    """Makes the data plane's looks take so many seconds."""

    def make(seconds):
        for name in ("learned_servers", "connections", "worker_states"):
            monkeypatch.setattr(daemon.plane, name, after(seconds, getattr(daemon.plane, name)))

    def after(seconds, read):
        def slowly(*arguments):
            time.sleep(seconds)
            return read(*arguments)
        return slowly

    return make


@pytest.mark.parametrize("command", LONG, ids=" ".join)
def test_a_list_that_takes_the_daemon_long_is_asked_for_seldom(synproxy, slow, pauses, command):
    slow(0.05)
    synproxy(*command, *QUICK)
    (pause_s,) = pauses
    assert pause_s >= PAUSE_FACTOR * 0.05
    synproxy(*command, "--watch", "--interval", "3600")
    assert pauses[1:] == [3600]


def test_what_costs_the_daemon_nothing_is_asked_for_as_often_as_was_meant(synproxy, slow, pauses):
    slow(0.05)
    synproxy("worker", "list", *QUICK)
    assert pauses == [0.1]


def test_each_look_that_is_cut_off_says_so(daemon, synproxy, pauses):
    daemon.plane.entries = [ONE, ONE]
    result = synproxy("connection", "list", "--limit", "1", *QUICK)
    assert len(pauses) == 1
    assert len(result.stdout.splitlines()) == 2
    assert result.stderr == "there may be more than these 1 (--limit)\n"


def test_each_look_begins_with_the_first_page(daemon):
    daemon.plane.entries = [ONE] * 2500
    watching = begun(daemon, "connection", "list", "--limit", "2001", *QUICK, "-o", "json")
    for _ in range(2):
        assert len(json.loads(watching.stdout.readline())["connections"]) == 2001
    looks_of(watching, "{", 1)


def test_on_a_terminal_a_table_takes_the_place_of_the_one_before(daemon):
    with PtyScreen(
        synproxy_command("mempool", "list", *QUICK, address=daemon.address)
    ) as screen:
        screen.until(lambda lines: lines[1].startswith("frames_0          0  1023      17"))
        daemon.plane.in_use = 1000
        lines = screen.until(lambda lines: "1000" in lines[1])
        assert [line for line in lines if line] == lines[:2]
        screen.press("\x03")
        assert screen.process.wait(WITHIN_S) == ExitCode.OK
