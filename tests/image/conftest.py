"""The image that `make image` has built, and the lab that its container runs in."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from appliance.lab.huge_pages import reserved
from appliance.lab.namespace import python_module
from appliance.lab.report import Report
from appliance.lab.topology import SERVER_IPV4, SERVER_MAC, Lab
from appliance.lab.webserver import start_webserver

from .container import SIZE_MIB, Container
from .engine import network_of, sweep
from .left import Left, left_behind
from .traffic import Ask, Connected, Flood, connect

FLOOD_PPS = 30_000
MOST_S = 240                # longer than any test


@pytest.fixture(scope="session")
def image() -> str:
    return os.environ["LAB_IMAGE"]


@pytest.fixture(scope="session")
def base() -> str:
    return os.environ["LAB_BASE"]


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab() as laid:
        sweep()
        start_webserver(laid)
        yield laid


@pytest.fixture(scope="session")
def network(lab: Lab, image: str) -> Iterator[str]:
    """The proxy's."""
    with network_of(lab.proxy, image) as network:
        yield network


@pytest.fixture(scope="session")
def huge_pages() -> Iterator[None]:
    """As many more as a container takes."""
    with reserved(SIZE_MIB):
        yield


@pytest.fixture(scope="session")
def untouched(huge_pages: None, lab: Lab) -> Left:
    """What there is before any container is."""
    return left_behind(lab)


@pytest.fixture(scope="module", params=["AF_PACKET", "AF_XDP"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def connected(container: Container, lab: Lab) -> Iterator[Connected]:
    """Clients that have been answered, for the length of a test."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(connect(lab))


@pytest.fixture
def ask(lab: Lab) -> Ask:
    """So many requests of real clients."""
    def asked(count: int) -> Report:
        done = lab.client.run(python_module(
            "appliance.lab.prober", SERVER_IPV4, "--count", str(count)))
        return Report(**json.loads(done.stdout))

    return asked


@pytest.fixture
def flood(lab: Lab) -> Flood:
    """Spoofed SYNs, for the length of a `with` statement."""
    @contextmanager
    def flooded() -> Iterator[None]:
        process = lab.start(lab.client, python_module(
            "appliance.lab.flood", "--interface", "eth0", "--destination", SERVER_IPV4,
            "--dst-mac", SERVER_MAC, "--pps", str(FLOOD_PPS), "--count", str(FLOOD_PPS * MOST_S),
            "--seconds", str(MOST_S)), stdout=subprocess.PIPE)
        try:
            yield
            assert process.poll() is None, "the flood outlasts what it is to disturb"
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=5)

    return flooded
