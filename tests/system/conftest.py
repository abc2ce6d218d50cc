"""The lab around every system test: real stacks, a running synproxyd between them.

One lab serves the whole session; a daemon runs for each test module and driver.  After every
test the daemon's counters must add up: each received frame has had exactly one fate.
"""

import os
import socket
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import pytest
from synproxy.v1.stats_service_pb2 import GetStatsResponse

from appliance.lab.loginserver import SSHD
from appliance.lab.namespace import TOOLS, require
from appliance.lab.peers import Peer, start_peers
from appliance.lab.proxy import Proxy, imbalance
from appliance.lab.topology import SERVERS, Lab, Server
from appliance.lab.waiting import until
from appliance.lab.webserver import Website, start_webserver

QUIET_S = 3             # until what a test has sent is no longer under way
PATIENCE_S = 20         # what a test's socket waits for


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a run is for may not be skipped (make connections, make browser)."""
    report = yield
    if report.skipped and os.environ.get("LAB_SKIPS") == "fail":
        report.outcome = "failed"
    return report


@pytest.fixture(scope="session", autouse=True)
def _tools() -> None:
    if os.geteuid():
        pytest.skip("network namespaces need root")
    for tool in TOOLS:
        require(SSHD if tool == SSHD.name else tool)


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    with Lab() as laid:
        yield laid


@pytest.fixture(scope="session")
def website(lab: Lab) -> Website:
    """nginx runs and serves `one` and `large`."""
    return start_webserver(lab)


@pytest.fixture(scope="session")
def large_sha256(website: Website) -> str:
    """What `large` is to be."""
    return website.large_sha256()


@pytest.fixture(scope="session")
def journal(lab: Lab) -> Path:
    """The peers run; here they note each conversation that has ended."""
    return start_peers(lab)


@pytest.fixture(scope="module", params=["AF_XDP", "AF_PACKET"])
def driver(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def daemon(lab: Lab, driver: str) -> Iterator[Proxy]:
    with Proxy(lab, driver) as running:
        yield running


@pytest.fixture
def proxy(daemon: Proxy) -> Iterator[Proxy]:
    """The daemon, whose counters must add up once the test is over."""
    yield daemon
    try:
        until(lambda: is_balanced(daemon.stats()), seconds=QUIET_S,
              what="every frame to meet its fate")
    except TimeoutError as error:
        pytest.fail(f"{error}: {daemon.stats()}")


@pytest.fixture
def shard_file(lab: Lab) -> Iterator[Path]:
    """Where connections outlive the daemon; it goes with the test."""
    path = Path(f"/dev/shm/synlab-{lab.id}")
    yield path
    for name in (path, Path(f"{path}.lock"), Path(f"{path}.new")):
        name.unlink(missing_ok=True)


def is_balanced(stats: GetStatsResponse) -> bool:
    """received = bridged + translated + consumed + drops, and what was to go out is sent, or lost
    as tx_full or bridge_shed."""
    return all(imbalance(worker) == (0, 0) for worker in stats.workers)


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> Server:
    return SERVERS[request.param]


@pytest.fixture
def connect(lab: Lab, server: Server, proxy: Proxy, journal: Path,
            request: pytest.FixtureRequest) -> Callable[[Peer], socket.socket]:
    """Opens connections from the client namespace to the peers; closes them with the test."""
    def connected(peer: Peer) -> socket.socket:
        connection = lab.client.open_socket(server.family, socket.SOCK_STREAM)
        request.addfinalizer(connection.close)
        connection.settimeout(PATIENCE_S)
        connection.connect((server.address, peer))
        return connection

    return connected
