"""The daemon's lines where nobody reads them, for a while or for ever."""

import fcntl
import os
import select
import subprocess
import sys
import threading
from contextlib import ExitStack

import pytest

from appliance import backlog, notify
from appliance.lab.waiting import until
from appliance.notify import said_aside, say

SOON_S = 10
START_S = 60            # of a program that loads what the daemon does, on a busy machine
PIPE_BYTES = 4096       # the least that a pipe has
BOUND_BYTES = 2 * PIPE_BYTES
LINES = [f"line {number} {'x' * 80}" for number in range(200)]

# The daemon around its loop, without ports: it says more than the pipe of stderr takes, tells so on
# descriptor 3, and ends.
DAEMON = """\
import contextlib, os, sys
from types import SimpleNamespace
from appliance import backlog, lifecycle
from appliance.notify import say

async def serve(*_):
    for line in sys.argv[1:]:
        say(line, sys.stderr)
    os.write(3, b"said")

backlog.END_S = 60      # however slowly the test reads
lifecycle._serve = serve
lifecycle._open = lambda _: SimpleNamespace(
    stop=lambda: None, close=lambda: None, worker_stats=lambda: [])
lifecycle.claimed = lifecycle.attachments_of = contextlib.nullcontext
lifecycle.counter_lines = lambda _: ["the counters"]
settings = SimpleNamespace(main_lcore=min(os.sched_getaffinity(0)))
lifecycle.daemon_run(None, None, settings)
"""


@pytest.fixture
def pipe():
    """Its two ends; it has room for some dozen lines."""
    with ExitStack() as files:
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        yield (files.enter_context(open(reader, "rb", buffering=0)),
               files.enter_context(open(writer, "wb")))


def say_all(lines, output):
    """Returns if nobody waits for the reader."""
    def run():
        for line in lines:
            say(line, output)

    saying = threading.Thread(target=run, daemon=True)
    saying.start()
    saying.join(SOON_S)
    assert not saying.is_alive(), "it waits for the reader"


def heard(reader, words):
    """The lines up to the first with these words."""
    lines: list[str] = []
    while not lines or words not in lines[-1]:
        lines.append(reader.readline().decode().rstrip("\n"))
        assert lines[-1], f"no {words} in {lines}"
    return lines


def lost_line(count):
    return (f"synproxyd: warning: {count} lines of the log are lost here: its reader didn't take"
            " them in time")


def test_what_a_stalled_reader_has_not_taken_comes_in_order_once_it_goes_on(pipe):
    reader, writer = pipe
    with said_aside():
        say_all(LINES, writer)
        assert heard(reader, LINES[-1]) == LINES


def test_what_is_beyond_the_bound_is_lost_and_told_in_its_place(pipe, monkeypatch):
    monkeypatch.setattr(backlog, "BYTES_MAX", BOUND_BYTES)
    reader, writer = pipe
    with said_aside():
        say_all(LINES, writer)
        *kept, lost = heard(reader, "lost")
        assert kept == LINES[:len(kept)]
        assert len(kept) >= BOUND_BYTES // len(LINES[-1])
        assert lost == lost_line(len(LINES) - len(kept))
        say_all(LINES[:1], writer)
        assert heard(reader, LINES[0]) == LINES[:1]


def test_once_there_is_room_the_loss_is_told_before_what_is_said_next(pipe, monkeypatch):
    monkeypatch.setattr(backlog, "BYTES_MAX", BOUND_BYTES)
    reader, writer = pipe
    with said_aside():
        say_all(LINES, writer)
        waiting = notify._backlog
        assert waiting
        begun = [reader.readline() for _ in range(PIPE_BYTES // len(LINES[-1]))]
        until(lambda: waiting._bytes < BOUND_BYTES, seconds=SOON_S, what="room")
        say("later", writer)
        *kept, lost, _ = heard(reader, "later")
        assert lost == lost_line(len(LINES) - len(begun) - len(kept))


def test_nobody_waits_at_the_end_for_a_reader_that_never_goes_on(pipe, monkeypatch):
    monkeypatch.setattr(backlog, "END_S", 0.05)
    reader, writer = pipe
    with said_aside():
        say_all(LINES, writer)
    assert heard(reader, LINES[-1]) == LINES    # it had taken none until here


def test_outside_of_a_loop_a_line_is_written_when_it_is_said(pipe):
    reader, writer = pipe
    say("begins", writer)
    with said_aside():
        say("runs", writer)
    say("ends", writer)
    os.set_blocking(reader.fileno(), False)
    assert reader.read() == b"begins\nruns\nends\n"


def test_the_daemons_loop_and_its_end_wait_for_no_reader_and_lose_nothing(pipe):
    reader, writer = pipe
    said, tells = os.pipe()
    command = ["bash", "-c", f'exec 3>&{tells}; exec "$@" 2>&1', "-",
               sys.executable, "-P", "-c", DAEMON, *LINES]
    with (
        open(said, "rb") as loop,
        subprocess.Popen(command, stdout=writer, pass_fds=[tells]) as process,
    ):
        os.close(tells)
        try:
            ready, _, _ = select.select([loop], [], [], START_S)
            assert ready, "the loop waits for the reader"
            assert heard(reader, "the counters") == [*LINES, "the counters"]
            assert process.wait(SOON_S) == 0
        finally:
            process.kill()
