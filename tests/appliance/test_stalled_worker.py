"""A worker that makes no turn, of a daemon as it runs: told everywhere, and the daemon's end unless
it is only to be told.  A control thread that hangs, which ends nothing.
"""

import json
import re
import signal
import socket
import subprocess
import time
from contextlib import suppress
from urllib.request import urlopen

import grpc
import pytest
from synproxy.v1.events_service_pb2 import WatchEventsRequest
from synproxy.v1.events_service_pb2_grpc import EventsServiceStub

from appliance.exit_codes import ExitCode
from appliance.lab.waiting import until
from appliance.management.catalogue import ACKNOWLEDGE_TIMEOUT_S
from appliance.worker_events import RESUMED, STALLED, WORKER_EVENTS

from .daemon_process import LCORES, as_root, two_cores
from .stalled_thread import circle, stalled

pytestmark = [as_root, two_cores]

CORE = LCORES[-1]
SOON_S = 10
SEEN_S = 2
ACTED_S = 3
# The watchdog counts 2 s of looks, and then writes what it knows.
ENDED_S_MIN = 2
HELD_S = 3              # more than it takes to be told
CONFIGURATION = "synproxy.configuration"


@pytest.fixture
def notified(tmp_path):
    """What systemd hears."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as heard:
        heard.bind(str(tmp_path / "notify"))
        yield heard


@pytest.fixture
def metrics_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


@pytest.fixture
def run(configure, start, notified, metrics_port):
    """A daemon with this word for workers.on_stall; "": as it is without one."""
    def begin(on_stall):
        config = configure()
        text = config.read_text().replace(
            "management: {", f'management: {{metrics_address: "127.0.0.1:{metrics_port}", ')
        if on_stall:
            text = text.replace("workers: {", f"workers: {{on_stall: {on_stall}, ")
        config.write_text(text)
        return start(config, env={
            "NOTIFY_SOCKET": notified.getsockname(), "WATCHDOG_USEC": "30000000"})

    return begin


@pytest.fixture
def daemon(run):
    return run("REPORT")


@pytest.fixture
def metric(metrics_port):
    def read(series):
        with urlopen(f"http://127.0.0.1:{metrics_port}/metrics", timeout=SOON_S) as page:
            (value,) = [line.rpartition(" ")[2] for line in page.read().decode().splitlines()
                        if line.startswith(f"{series} ")]
        return float(value)

    return read


def worker_thread(daemon):
    (worker,) = json.loads(daemon.synproxy("worker", "list", "-o", "json"))["workers"]
    return worker["thread_id"]


def healthy(daemon, *arguments):
    with suppress(subprocess.CalledProcessError):
        return bool(daemon.synproxy("health", *arguments))
    return False


def heard(notified):
    """All that has come, and is then gone."""
    lines = []
    with suppress(BlockingIOError):
        while True:
            lines += notified.recv(4096).decode().splitlines()
    return lines


def test_one_that_makes_no_turn_is_not_ready_until_it_goes_on(daemon, metric, notified):
    stuck = f'synproxy_worker_stuck{{worker="{CORE}"}}'
    stalls = f'synproxy_worker_stalls_total{{worker="{CORE}"}}'
    assert (healthy(daemon), metric(stuck), metric(stalls)) == (True, 0, 0)
    with stalled(worker_thread(daemon)):
        until(lambda: metric(stuck) == 1, seconds=SEEN_S, what="the worker to be told as stuck")
        assert not healthy(daemon)
        heard(notified)
        assert not healthy(daemon)      # half a second later, and more
        assert "WATCHDOG=1" not in heard(notified)
    until(lambda: healthy(daemon), seconds=SOON_S, what="readiness")
    until(lambda: "WATCHDOG=1" in heard(notified), seconds=SOON_S, what="the watchdog")
    until(lambda: metric(stuck) == 0, seconds=SOON_S, what="the worker to be told as going on")
    assert metric(stalls) == 1
    assert daemon.said().count(f"the worker on core {CORE} is stuck") == 1
    assert daemon.said().count(f"the worker on core {CORE} goes on") == 1


def test_it_is_an_event_and_so_is_that_it_goes_on(daemon):
    with grpc.insecure_channel(daemon.address) as channel:
        events = EventsServiceStub(channel).WatchEvents(
            WatchEventsRequest(reasons=list(WORKER_EVENTS)), timeout=2 * SOON_S)
        next(events)        # it has begun
        with stalled(worker_thread(daemon)):
            held_s = time.time()
            (told,) = next(events).events
            assert (told.reason, told.lcore) == (STALLED, CORE)
            assert 0 < told.time.ToNanoseconds() / 1e9 - held_s <= SEEN_S
        (told,) = next(events).events
        assert (told.reason, told.lcore) == (RESUMED, CORE)


def test_where_the_daemon_ends_by_it_who_watches_has_heard_why(run):
    daemon = run("RESTART")
    with grpc.insecure_channel(daemon.address) as channel:
        events = EventsServiceStub(channel).WatchEvents(WatchEventsRequest(), timeout=2 * SOON_S)
        next(events)
        with stalled(worker_thread(daemon)) as held:
            assert [event.reason for event in next(events).events] == [STALLED]
            held.await_end(seconds=SOON_S)
        with pytest.raises(grpc.RpcError):
            next(events)


def ended(held, daemon):
    """How, once the thread's process has ended: the exit code, and what of the log is the
    watchdog's."""
    held.await_end(seconds=ACTED_S)
    code = daemon.process.wait(SOON_S)
    return code, daemon.said().partition(f"synproxyd: the worker on core {CORE} has made no turn")


@pytest.mark.parametrize("word", ["", "RESTART"])
def test_one_that_makes_no_turn_ends_the_daemon(run, word):
    daemon = run(word)
    with stalled(worker_thread(daemon)) as held:
        code, (before, _, line) = ended(held, daemon)
    assert code == ExitCode.STALLED
    assert ENDED_S_MIN <= (held.ended_s or 0) <= ACTED_S
    assert f"the worker on core {CORE} is stuck" in before
    assert re.match(
        r" for 2000 ms, so that the daemon ends, to be started again: turns \d+, frames 0,"
        rf" generation 1, thread {held.thread_id} in state t at \w+\n", line)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_one_that_is_only_told_is_not_waited_for_at_the_end(daemon, how):
    with stalled(worker_thread(daemon)) as held:
        until(lambda: f"the worker on core {CORE} is stuck" in daemon.said(), seconds=SEEN_S,
              what="the worker to be told as stuck")
        daemon.process.send_signal(how)
        held.await_end(seconds=SOON_S)
    assert daemon.process.wait(SOON_S) == ExitCode.STALLED
    assert (held.ended_s or 0) >= ENDED_S_MIN
    assert re.search(
        rf"the worker on core {CORE} has made no turn for 2000 ms, and the daemon, which is to end,"
        r" doesn't wait for it: turns \d+, .* thread \d+ in state t at \w+\n", daemon.said())


def test_it_does_so_while_the_control_thread_hangs_too(run):
    """As where one waits for the other, or both for a disk."""
    daemon = run("")
    with stalled(worker_thread(daemon)) as worker, stalled(daemon.process.pid):
        worker.await_end(seconds=ACTED_S)
    # How it ended was its tracer's to hear of, this one.
    assert "has made no turn" in daemon.said()


def test_the_stack_of_one_that_runs_in_circles_is_in_the_log(run):
    """A mistake of ours in the loop, or of a driver's."""
    daemon = run("")
    thread = worker_thread(daemon)
    circle(thread, "/dpdk/worker.")
    assert daemon.process.wait(ACTED_S) == ExitCode.STALLED
    _, _, line = daemon.said().partition("so that the daemon ends")
    state, *stack = line.splitlines()
    assert f"thread {thread} in state R at " in state
    assert [frame for frame in stack if "/dpdk/worker." in frame]


def test_a_daemon_that_is_stopped_as_a_whole_is_not_ended_for_it(run):
    daemon = run("")
    daemon.process.send_signal(signal.SIGSTOP)
    time.sleep(HELD_S)
    daemon.process.send_signal(signal.SIGCONT)
    assert healthy(daemon)
    assert "has made no turn" not in daemon.said()


def test_a_control_thread_that_hangs_is_told_and_ends_nothing(run, metric):
    daemon = run("")
    assert metric("synproxy_control_stalls_total") == 0
    with stalled(daemon.process.pid):
        until(lambda: "the control thread is stuck" in daemon.said(), seconds=ACTED_S,
              what="the control thread to be told as stuck")
        time.sleep(HELD_S)
    until(lambda: healthy(daemon), seconds=SOON_S, what="the daemon to go on")
    assert metric("synproxy_control_stalls_total") == 1
    assert daemon.said().count("the control thread is stuck") == 1
    assert daemon.said().count("the control thread goes on") == 1


@pytest.mark.parametrize("change", [
    ("service", "set", "web", "mss=1300"), ("drain",), ("secret", "rotate")], ids=" ".join)
def test_a_change_that_it_does_not_take_up_is_told_until_it_does(daemon, metric, change):
    with stalled(worker_thread(daemon)):
        with pytest.raises(subprocess.CalledProcessError) as failed:
            daemon.synproxy(*change)
        assert failed.value.returncode == ExitCode.UNAVAILABLE
        assert (f"is published, but a worker hasn't run it after {ACKNOWLEDGE_TIMEOUT_S:g} s:"
                f" on core {CORE}\n") in failed.value.stderr
        shown = daemon.synproxy("config", "show")
        assert f"# published, but not run by the worker on core {CORE}\n" in shown
        assert metric("synproxy_config_acknowledged") == 0
        until(lambda: health(daemon)[CONFIGURATION] == "NOT_SERVING", seconds=SOON_S,
              what="health to tell of it")
    until(lambda: healthy(daemon, "--strict"), seconds=SOON_S, what="health")
    assert "not run by" not in daemon.synproxy("config", "show")
    assert metric("synproxy_config_acknowledged") == 1


def health(daemon):
    with pytest.raises(subprocess.CalledProcessError) as failed:
        daemon.synproxy("health")
    return dict(line.split()[-2:] for line in failed.value.stdout.splitlines()[2:])
