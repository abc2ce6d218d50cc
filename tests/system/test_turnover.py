"""Connections opened, used and closed at the rate the lab can do; afterwards nothing is left.

The rates with and without a proxy are no race: with it the hosts' kernels receive on the worker's
core, which sends them the frames; without it, the hosts' own cores do all there is to do.
"""

import os
from collections.abc import Callable, Iterator

import pytest
from synproxy.v1.connections_service_pb2 import Connection

from appliance.lab.bridge import bridged
from appliance.lab.churn import turn_over
from appliance.lab.proxy import SERVICES, Proxy
from appliance.lab.report import Report
from appliance.lab.responder import start_responder
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until

Figure = Callable[[str], None]

# A second's worth; `make connections` has 100,000.
COUNT = int(os.environ.get("LAB_CONNECTIONS", "10000"))
# The least that a service can be set to.
KEPT_S = 4
# Idle times are told in ticks of 4 s, must be longer than the limit, and are looked at in the
# tick after.
FORGOTTEN_S = KEPT_S + 3 * 4


@pytest.fixture(scope="session")
def _responder(lab: Lab) -> None:
    start_responder(lab)


@pytest.fixture(scope="module")
def direct(lab: Lab, driver: str, _responder: None) -> Report:
    """The same connections without a proxy, right before those with one."""
    with bridged(lab):
        return turn_over(lab, COUNT)


@pytest.fixture(scope="module")
def daemon(lab: Lab, driver: str, direct: Report) -> Iterator[Proxy]:
    """A daemon of its own, after `direct`: both need the proxy's interfaces."""
    kept = f"{{time_wait: {KEPT_S}s, closed: {KEPT_S}s}}"
    with Proxy(lab, driver, services=f"{SERVICES}    options: {{timeouts: {kept}}}\n") as running:
        yield running


def buffers_in_use(lab: Lab, proxy: Proxy) -> int:
    """At rest.  An AF_XDP port keeps the frames that it has sent until it sends again, so after
    a few single frames it keeps one."""
    lab.client.run(["ping", "-c", "3", "-i", "0.05", "-W", "2", SERVER_IPV4])
    return proxy.buffers_in_use()


def entries(proxy: Proxy) -> list[Connection]:
    """But for those of earlier tests: where a daemon has ended before a connection through it, the
    hosts go on about that for minutes, and any other daemon lets them."""
    return [one for one in proxy.connections() if not one.passes]


def half_open(proxy: Proxy) -> int:
    return sum(worker.half_open for worker in proxy.stats().workers)


def told(report: Report) -> str:
    return (f"{report.per_second} connections/s, median {report.median_ms} ms, "
            f"p99 {report.p99_ms} ms, max {report.max_ms} ms")


def test_every_connection_succeeds_and_leaves_nothing_behind(
        lab: Lab, proxy: Proxy, direct: Report, figure: Figure) -> None:
    in_use, before = buffers_in_use(lab, proxy), proxy.counters()
    report = turn_over(lab, COUNT)
    gained = proxy.counters() - before

    figure(f"{COUNT} connections: {told(report)}; direct {told(direct)}")
    assert (report.succeeded, report.failures) == (COUNT, {})
    assert (direct.succeeded, direct.failures) == (COUNT, {})
    assert gained["cookie_valid"] == gained["server_established"] == COUNT
    until(lambda: not entries(proxy), seconds=FORGOTTEN_S, what="the table to be empty",
          seen=lambda: entries(proxy))
    assert half_open(proxy) == 0
    until(lambda: buffers_in_use(lab, proxy) == in_use, seconds=3,
          what=f"{in_use} buffers to be in use, as before")
