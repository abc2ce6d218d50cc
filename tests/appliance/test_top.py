"""synproxy top on a terminal: what stands there, what keys do, and how the terminal is left."""

import os
import re
import signal
import subprocess
import termios
import time

import pytest
from click.testing import CliRunner
from rich.console import Console

from appliance.cli.main import main
from appliance.exit_codes import ExitCode
from appliance.lab.namespace import synproxy_command
from appliance.top.terminal import Terminal
from cython_core.dataplane import DROP_REASONS

from .conftest import Daemon
from .daemon_process import two_cores
from .pty_screen import SHOWN, PtyScreen, rest_of

QUIET = "Quiet: nothing to complain about."
FOOT = "q quit"
# No picture held back any more, the cursor shown, the other screen left.
LEFT = (SHOWN + b"\x1b[?25h", b"\x1b[?1049l")
COLOUR = re.compile(rb"\x1b\[[0-9;]*(?<![0-9])(?:[349][0-7]|38|48)(?:;[0-9;]*)?m")


def top(address, *more):
    return synproxy_command("top", "--interval", "0.1", *more, address=address)


@pytest.fixture
def plane(daemon):
    """Its workers turn, as real ones do at the quietest of moments."""
    daemon.plane.counters = dict(daemon.plane.counters)
    stats, turns = daemon.plane.worker_stats, iter(range(10**9))
    daemon.plane.worker_stats = lambda: [
        type(one)(**vars(one) | {"turns": next(turns)}) for one in stats()]
    return daemon.plane


@pytest.fixture
def screen(daemon, plane):
    with PtyScreen(top(daemon.address)) as shown:
        yield shown


def drawn(lines):
    return lines[0].startswith("synproxy top") and FOOT in lines[-1]


def flood(plane):
    """Half a second of 20,000 cookies a second or more."""
    for _ in range(50):
        for name in ("received", "syn_received", "synack_sent", DROP_REASONS[0]):
            plane.counters[name] += 200
        time.sleep(0.01)


def test_it_shows_what_there_is(screen):
    lines = screen.until(QUIET)
    assert drawn(lines)
    text = "\n".join(lines)
    for words in ("SYNs/s", "cookies/s", "proved/s", "connections/s", "drops/s", "frames/s",
                  "SERVICE", "web", "mail", "DROPPED", DROP_REASONS[-1], "WORKER", "25.0 %",
                  "PORT", "client", "BUFFERS", "17 of 1,023"):
        assert words in text


def test_a_flood_is_the_headline_with_its_rates_and_their_peak(screen, plane):
    screen.until(QUIET)
    flood(plane)
    lines = screen.until("SYN flood: ")
    assert lines[1].startswith("SYN flood: ")
    lines = screen.until(QUIET)
    cookies = next(line for line in lines if line.startswith("cookies/s"))
    assert re.search(r"^cookies/s +0 .*[▂▃▄▅▆▇█].* peak +[0-9.]+ k$", cookies)


@pytest.mark.parametrize(("columns", "lines"), [(60, 15), (61, 16), (80, 24), (132, 50), (250, 80)])
def test_it_fits_the_terminal(daemon, plane, columns, lines):
    with PtyScreen(top(daemon.address), columns, lines) as screen:
        screen.until(QUIET)
        assert drawn(screen.until(drawn))
        assert all(head in "\n".join(screen.lines) for head in ("SERVICE", "DROPPED"))


def test_it_follows_the_terminals_size(screen):
    for columns, lines in ((120, 40), (60, 15), (90, 30)):
        screen.until(drawn)
        screen.resize(columns, lines)
        screen.until(lambda seen, lines=lines: len(seen) == lines and drawn(seen))
        wide = max(map(len, screen.lines))
        assert columns // 2 < wide <= columns
    screen.resize(40, 10)
    screen.until("needs 60 columns")
    screen.resize(60, 15)
    screen.until(drawn)


def test_a_size_of_the_environment_is_not_the_terminals(daemon, plane):
    with PtyScreen(top(daemon.address), env={"COLUMNS": "40", "LINES": "7"}) as screen:
        screen.until(drawn)


def test_keys_pause_sort_and_help(screen, plane):
    screen.until("SYNs/s↓")
    screen.press("s")
    screen.until("proved/s↓")
    screen.press("r")
    screen.until("proved/s↑")
    screen.press("h")
    screen.until("scroll by what is in sight")
    screen.press("h")
    screen.until(drawn)
    screen.press(" ")
    screen.until("PAUSED")
    still = screen.settle(0.2)
    flood(plane)
    assert screen.settle(0.3) == still
    screen.press(" ")
    screen.until(lambda lines: "peak       0" not in "\n".join(
        line for line in lines if line.startswith("cookies/s")))


def test_colour_unless_no_color(daemon, plane):
    for env, coloured in (({"NO_COLOR": ""}, True), ({"NO_COLOR": "1"}, False)):
        with PtyScreen(top(daemon.address), env=env) as screen:
            screen.until(QUIET)
            assert bool(COLOUR.search(screen.written)) == coloured


def test_a_terminal_without_utf8_gets_ascii(daemon, plane):
    with PtyScreen(top(daemon.address), env={"PYTHONIOENCODING": "ascii"}) as screen:
        screen.until(QUIET)
        screen.settle(0.3)
        assert screen.written.isascii()
        screen.until("##......")
        screen.until("SYNs/sv")


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ("q", ExitCode.OK), ("\x1b", ExitCode.OK), ("\x03", ExitCode.OK),
        (signal.SIGINT, ExitCode.OK), (signal.SIGTERM, -signal.SIGTERM),
        (signal.SIGHUP, -signal.SIGHUP),
    ],
)
def test_the_terminal_is_left_as_it_was(screen, how, code):
    screen.until(drawn)
    assert termios.tcgetattr(screen.terminal) != screen.before
    assert LEFT[1] not in screen.written
    if isinstance(how, str):
        screen.press(how)
    else:
        screen.process.send_signal(how)
    assert screen.ended() == code
    assert_left(screen)


def assert_left(screen):
    assert termios.tcgetattr(screen.terminal) == screen.before
    assert screen.written.endswith(LEFT[0] + LEFT[1])
    assert b"Traceback" not in screen.written


def test_it_ends_with_its_terminal(screen):
    screen.until(drawn)
    screen.hang_up()
    screen.process.wait(10)


def test_a_second_signal_ends_it_where_nobody_reads(screen):
    screen.until(drawn)
    screen.resize(250, 80)
    time.sleep(1)       # for more pictures than a terminal's buffer holds
    for _ in range(2):
        screen.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
    assert screen.process.wait(10) == -signal.SIGTERM


def hanging():
    time.sleep(2)
    return []


def test_an_end_does_not_wait_for_a_daemon_that_hangs(daemon, screen, plane):
    screen.until(drawn)
    plane.worker_stats = hanging
    screen.settle(0.3)
    screen.press("q")
    began = time.monotonic()
    assert screen.ended() == ExitCode.OK
    assert time.monotonic() - began < 1
    assert_left(screen)


def test_a_stopped_top_gives_the_terminal_back_and_takes_it_again(daemon, plane):
    shell = ["bash", "-mc", '"$@"; echo "here is the shell"; read -r; fg', "bash"]
    with PtyScreen([*shell, *top(daemon.address)]) as screen:
        screen.until(drawn)
        screen.press("\x1a")
        screen.until("here is the shell")
        assert termios.tcgetattr(screen.terminal) == screen.before
        assert LEFT[0] + LEFT[1] in screen.written
        screen.press("\n")
        screen.until(lambda lines: drawn(lines) and termios.tcgetattr(screen.terminal)
                     != screen.before)
        screen.press("q")
        assert screen.ended() == ExitCode.OK
        assert_left(screen)


def test_an_error_gives_the_terminal_back(tmp_path):
    master, slave = os.openpty()
    before = termios.tcgetattr(slave)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with os.fdopen(slave, "w") as file:
        console = Console(file=file, force_terminal=True)
        with pytest.raises(termios.error, match=r"^taken"), Terminal(console, slave).taken():
            raise termios.error("taken" if termios.tcgetattr(slave) != before else "not taken")
        assert termios.tcgetattr(slave) == before
    assert rest_of(master).endswith(LEFT[0] + LEFT[1])
    os.close(master)
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers


def test_a_daemon_that_goes_is_told_and_looked_for(tmp_path):
    path = tmp_path / "api.sock"
    with Daemon(path) as first:
        screen = PtyScreen(top(first.address))
        screen.until("web")
    with screen:
        lines = screen.until("No answer since ")
        assert "web" in "\n".join(lines)
        with Daemon(path):
            screen.until(lambda lines: drawn(lines) and "No answer" not in lines[1])
        screen.until("No answer since ")
        screen.press("q")
        assert screen.ended() == ExitCode.OK
        assert_left(screen)


@two_cores
def test_the_real_daemon_is_shown_and_shown_again_after_a_restart(configure, start):
    config = configure()
    daemon = start(config)
    with PtyScreen(top(daemon.address), 100, 30) as screen:
        assert "net_ring0" in "\n".join(screen.until(QUIET))
        daemon.stop()
        screen.until("No answer since ")
        start(config)
        screen.until(QUIET)
        screen.press("q")
        assert screen.ended() == ExitCode.OK


def test_without_a_terminal_it_is_a_usage_error(daemon):
    result = CliRunner().invoke(main, ["--address", daemon.address, "top"])
    assert result.exit_code == ExitCode.USAGE
    assert "top needs a terminal" in result.stderr
    piped = subprocess.run(top(daemon.address), capture_output=True, check=False)
    assert (piped.returncode, piped.stdout) == (ExitCode.USAGE, b"")


@pytest.mark.parametrize(
    ("env", "code"), [({}, ExitCode.UNAVAILABLE), ({"TERM": "dumb"}, ExitCode.USAGE)])
def test_what_can_not_begin_leaves_the_terminal_alone(tmp_path, env, code):
    with PtyScreen(top(f"unix:{tmp_path}/none.sock"), env=env) as screen:
        assert screen.ended() == code
        assert b"\x1b" not in screen.written
        assert termios.tcgetattr(screen.terminal) == screen.before
