"""The container ends, by itself or asked to, comes back, and leaves nothing.  Its rights come by
its program's file, as Docker and Kubernetes give them."""

import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from statistics import median

import pytest

from appliance.exit_codes import ExitCode
from appliance.lab.topology import Lab
from appliance.lab.waiting import until
from appliance.lab.worker_threads import worker_threads

from ..appliance.stalled_thread import stalled
from .container import GRACE_S, READY_S, Container
from .left import Left, files_below, left_behind
from .traffic import REQUESTS, Ask, Connected, Flood, answered, connect, counter

BACK_S = 3
RESTARTS = int(os.environ.get("LAB_RESTARTS", "20"))
STOP_GRACE_S = 5            # management.stop_grace, unless it is set


@pytest.fixture(scope="module")
def made(untouched: Left, lab: Lab, network: str, image: str,
         driver: str) -> Iterator[Container]:
    with Container(lab, network, image, driver, by_file=True) as running:
        yield running


@pytest.fixture
def container(made: Container) -> Container:
    """At work, whatever the test before has done to it."""
    if made.ended():
        made.start()
        made.await_serving(READY_S)
    return made


def test_rights_by_its_programs_file_are_enough(container: Container, ask: Ask) -> None:
    proved = counter(container, "cookie_valid")
    assert container.status()["CapAmb"].strip("0") == ""
    assert ask(REQUESTS).succeeded == REQUESTS
    assert counter(container, "cookie_valid") - proved == REQUESTS


def test_sigterm_ends_it_within_its_grace_time(container: Container, ask: Ask) -> None:
    ask(REQUESTS)
    proved = counter(container, "cookie_valid")
    began = time.monotonic()
    assert container.stop() == 0
    assert time.monotonic() - began < GRACE_S
    assert re.search(rf"^cookie_valid +{proved}$", container.log(), re.MULTILINE)


def test_a_connection_goes_on_while_it_ends(container: Container, connected: Connected) -> None:
    connection = connected()
    said = len(container.log())
    codes: list[int] = []
    stopping = threading.Thread(target=lambda: codes.append(container.stop()))
    began = time.monotonic()
    stopping.start()
    until(lambda: "ends when no connection needs it" in container.log()[said:],
          seconds=STOP_GRACE_S, what="the drain")
    assert answered(connection)
    stopping.join()
    assert codes == [0]
    assert STOP_GRACE_S <= time.monotonic() - began < GRACE_S


def restarted(container: Container) -> bool:
    """As a policy does, again and again: the kernel has AF_XDP's queues for a moment longer than a
    daemon that ended by itself."""
    if container.ended():
        container.start()
    return container.serves()


def test_a_worker_that_stalls_ends_it_to_be_started_again(container: Container, ask: Ask) -> None:
    (worker,) = worker_threads(container.facts()["State"]["Pid"])
    with stalled(worker) as held:
        held.await_end(seconds=GRACE_S)
    until(container.ended, seconds=GRACE_S, what="the container to end")
    assert container.facts()["State"]["ExitCode"] == ExitCode.STALLED
    until(lambda: restarted(container), seconds=READY_S, what="it to be back", seen=container.log)
    assert ask(REQUESTS).succeeded == REQUESTS


def test_it_comes_back_under_traffic_and_leaves_nothing(
        container: Container, untouched: Left, lab: Lab, flood: Flood,
        figure: Callable[[str], None]) -> None:
    assert container.stop() == 0
    took = []
    with flood():
        for _ in range(RESTARTS):
            began = time.monotonic()
            container.start()
            container.await_serving(BACK_S)
            took.append(time.monotonic() - began)
            for _ in range(10):
                connect(lab).close()
            assert container.stop() == 0
            assert left_behind(lab) == untouched
            assert files_below(container.run) == []
    figure(f"{RESTARTS} restarts, at work again after {median(took):.2f} s in the median,"
           f" {max(took):.2f} s at most")
    assert max(took) < BACK_S, took
