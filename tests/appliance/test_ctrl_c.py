"""Ctrl-C at any moment ends a command that watches."""

import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command

from .imported import imported_with

TIMES = 20
AT_ONCE = 2         # each takes the time that Python needs to start; but there is one capture
SPREAD_S = 0.25     # over which the moments lie: two samples and more
WITHIN_S = 10
PIPE_BYTES = 4096   # the smallest there is (fcntl(2), F_SETPIPE_SZ): soon full

WATCHING = [
    ("stats", "--watch", "--interval", "0.1"),
    ("stats", "--watch", "--interval", "0.1", "-o", "json"),
    ("service", "watch"),
    ("event", "watch", "-o", "json"),
    ("capture", "--write", "-"),
    ("worker", "list", "--watch", "--interval", "0.1"),
    ("connection", "list", "--watch", "--interval", "0.1", "-o", "json"),
]


def begun(daemon, arguments, before=(), pipe_bytes=-1):
    return subprocess.Popen(
        [*before, *synproxy_command(*arguments, address=daemon.address)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, pipesize=pipe_bytes,
    )


def each_moment(interrupted, at_once=AT_ONCE):
    """Calls it with each moment, in seconds."""
    moments = random.Random(4)
    with ThreadPoolExecutor(at_once) as callers:
        list(callers.map(interrupted, [moments.random() * SPREAD_S for _ in range(TIMES)]))


@pytest.mark.parametrize("arguments", WATCHING, ids=" ".join)
def test_a_watch_ends_well_whenever_it_comes(daemon, arguments):
    def interrupted(moment_s):
        watching = begun(daemon, arguments)
        assert watching.stdout.read(1)      # the call is answered
        time.sleep(moment_s)
        watching.send_signal(signal.SIGINT)
        _, said = watching.communicate(timeout=WITHIN_S)
        assert watching.returncode == ExitCode.OK
        assert b"Traceback" not in said
        assert b"Exception ignored" not in said

    each_moment(interrupted, at_once=1 if "capture" in arguments else AT_ONCE)


def test_before_there_is_something_to_watch_it_ends_at_once(daemon):
    """By the signal; until our code runs Python itself may end it with 1, or pass it over."""
    def interrupted(moment_s):
        watching = begun(daemon, WATCHING[0])
        time.sleep(moment_s)
        watching.send_signal(signal.SIGINT)
        try:
            watching.communicate(timeout=WITHIN_S)
        except subprocess.TimeoutExpired as error:
            if b"Exception ignored" not in (error.stderr or b""):
                raise
            watching.send_signal(signal.SIGINT)
            watching.communicate(timeout=WITHIN_S)
        assert watching.returncode in (ExitCode.OK, ExitCode.FAILED, -signal.SIGINT)

    each_moment(interrupted)


def test_our_code_runs_before_anything_that_takes_time_is_imported():
    imported = imported_with("appliance.cli.program")
    assert not {"click", "grpc", "cython_core", "synproxy"} & imported


def test_who_has_it_ignored_goes_on(daemon):
    watching = begun(daemon, WATCHING[0], ["env", "--ignore-signal=INT"])
    for _ in range(2):
        until_line(watching, b"PER SECOND")
        watching.send_signal(signal.SIGINT)
    until_line(watching, b"PER SECOND")
    watching.terminate()
    watching.communicate(timeout=WITHIN_S)
    assert watching.returncode == -signal.SIGTERM


def until_line(watching, words):
    assert any(words in line for line in watching.stdout)


def test_a_second_one_ends_a_watch_whose_output_nobody_reads(daemon):
    watching = begun(daemon, WATCHING[0], pipe_bytes=PIPE_BYTES)
    watching.stdout.readline()
    full = time.monotonic() + WITHIN_S
    while time.monotonic() < full and b"pipe_w" not in waits_in(watching.pid):
        time.sleep(0.05)
    watching.send_signal(signal.SIGINT)
    while watching.poll() is None and time.monotonic() < full:
        watching.send_signal(signal.SIGINT)
        time.sleep(0.05)
    assert watching.returncode == -signal.SIGINT


def waits_in(pid):
    with open(f"/proc/{pid}/wchan", "rb") as where:
        return where.read()
