"""tests/beside.sh: two commands at a time, of which the first has what the second leaves."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from appliance.lab.waiting import until

SCRIPT = Path(__file__).with_name("beside.sh")
SOON_S = 10


def beside(log: Path, aside: str, command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, log, aside, "sh", "-c", command], capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "build" / "aside.log"


def test_the_first_runs_when_nothing_else_does(log):
    done = beside(log, "chrt --pid $$", "true")
    assert done.returncode == 0
    assert "SCHED_IDLE" in done.stdout


@pytest.mark.parametrize(("aside", "command", "code"), [
    ("echo $((6 * 7)); exit 3", "sleep 0.2; echo ours", 1),
    ("sleep 0.2; echo $((6 * 7))", "echo ours; exit 7", 7),
    ("echo $((6 * 7)); exit 3", "echo ours; exit 7", 1),
])
def test_both_run_to_their_end_and_either_fails_the_whole(log, aside, command, code):
    done = beside(log, aside, command)
    assert done.returncode == code
    assert "ours" in done.stdout
    assert "42" in done.stdout


def test_a_failures_whole_log_is_shown(log):
    assert beside(log, "seq 100; exit 3", "true").stdout == (
        "seq 100; exit 3: exit 3\n" + "".join(f"{line}\n" for line in range(1, 101)))


def test_interrupted_nothing_of_it_goes_on(log):
    with subprocess.Popen([SCRIPT, log, "sleep 1000 & echo $!; wait", "sleep", "1000"],
                          start_new_session=True) as running:
        until(lambda: log.exists() and log.read_text().strip(), seconds=SOON_S, what="the first")
        process = Path("/proc") / log.read_text().strip()
        os.killpg(running.pid, signal.SIGINT)       # as a terminal does
    assert running.returncode == 130
    until(lambda: not process.exists(), seconds=SOON_S, what="the first to end")
