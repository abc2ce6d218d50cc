"""The image at work between real stacks, driven by gRPC from outside."""

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.lab.report import Report
from appliance.lab.topology import SERVER_IPV4, Lab
from appliance.lab.waiting import until
from appliance.lab.webserver import PORT

from .container import CALL_S, GRACE_S, HEALTH, METRICS, USER, Container
from .engine import AMBIENT, engine, image_facts, sweep

Ask = Callable[[int], Report]
Flood = Callable[[], AbstractContextManager[None]]

REQUESTS = 500
BACK_S = 3
RESTARTS = int(os.environ.get("LAB_RESTARTS", "20"))
MSS = 1300
TIMESTAMPS_BYTES = 12       # of each segment, which a host takes off its MSS
STOP_GRACE_S = 5            # management.stop_grace, unless it is set
# Of the listener for probes, in plain text.
PROBE = f"""\
import grpc
from grpc_health.v1.health_pb2 import HealthCheckRequest
from grpc_health.v1.health_pb2_grpc import HealthStub
for name in ("", "synproxy.v1.ServicesService"):
    print(HealthStub(grpc.insecure_channel("{HEALTH}")).Check(
        HealthCheckRequest(service=name), timeout={CALL_S}).status)
"""
# linux/capability.h
BITS = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21}


def counter(container: Container, name: str) -> int:
    with grpc.insecure_channel(container.address) as channel:
        stats = StatsServiceStub(channel).GetStats(GetStatsRequest(), timeout=CALL_S)
    return sum(worker.counters[name] for worker in stats.workers)


def metrics(lab: Lab) -> str:
    return lab.proxy.run(["curl", "--silent", "--fail", f"http://{METRICS}/metrics"]).stdout


def connect(lab: Lab) -> socket.socket:
    """A client that the web server has answered, and may ask again."""
    connection = lab.client.open_socket(socket.AF_INET, socket.SOCK_STREAM)
    connection.settimeout(CALL_S)
    connection.connect((SERVER_IPV4, PORT))
    assert answered(connection)
    return connection


@pytest.fixture
def connected(container: Container, lab: Lab) -> Iterator[Callable[[], socket.socket]]:
    """Such clients, for the length of a test."""
    with ExitStack() as opened:
        yield lambda: opened.enter_context(connect(lab))


def answered(connection: socket.socket) -> bool:
    connection.sendall(b"HEAD /one HTTP/1.1\r\nHost: lab\r\n\r\n")
    return connection.recv(4096).startswith(b"HTTP/1.1 200")


def test_clients_are_served_beside_a_flood(container: Container, ask: Ask, flood: Flood) -> None:
    with flood():
        until(lambda: counter(container, "synack_sent") > 1000, seconds=5,
              what="the flood to be answered")
        report = ask(REQUESTS)
    assert report.succeeded == REQUESTS, report
    assert counter(container, "cookie_valid") == REQUESTS


def test_it_has_the_rights_of_its_driver_and_may_get_no_other(container: Container) -> None:
    status = container.status()
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
    assert {int(status[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {
        sum(1 << BITS[name] for name in container.capabilities)}
    assert (status["NoNewPrivs"] == "1") is AMBIENT
    assert status["Seccomp"] == "2"


@pytest.mark.usefixtures("huge_pages")
def test_rights_by_its_programs_file_are_enough(
        lab: Lab, network: str, image: str, driver: str, ask: Ask) -> None:
    with Container(lab, network, image, driver, by_file=True) as container:
        assert container.status()["CapAmb"].strip("0") == ""
        assert ask(REQUESTS).succeeded == REQUESTS
        assert counter(container, "cookie_valid") == REQUESTS


def test_a_service_is_changed_under_traffic_from_outside(
        container: Container, ask: Ask, flood: Flood,
        connected: Callable[[], socket.socket]) -> None:
    before = connected()
    with flood(), grpc.insecure_channel(container.address) as channel:
        services = ServicesServiceStub(channel)
        (service,) = services.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
        service.options.mss = MSS
        answer = services.UpdateService(api.UpdateServiceRequest(
            service=service, update_mask=FieldMask(paths=["options.mss"])), timeout=CALL_S)
        assert ask(REQUESTS).succeeded == REQUESTS
        assert answer.service.options.mss == MSS
        told = connected().getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG)
        assert told == MSS - TIMESTAMPS_BYTES
        assert answered(before)


def test_its_health_and_its_metrics_are_seen(
        container: Container, image: str, lab: Lab, ask: Ask) -> None:
    ask(REQUESTS)
    assert container.execute(*image_facts(image)["Healthcheck"]["Test"][1:])
    assert f'synproxy_service_cookie_valid_total{{service="lab"}} {REQUESTS}.0' in metrics(lab)
    assert lab.proxy.run([sys.executable, "-P", "-c", PROBE]).stdout.split() == ["1", "1"]


def test_sigterm_ends_it_within_its_grace_time(container: Container, ask: Ask) -> None:
    ask(REQUESTS)
    began = time.monotonic()
    assert container.stop() == 0
    assert time.monotonic() - began < GRACE_S
    assert re.search(rf"^cookie_valid +{REQUESTS}$", container.log(), re.MULTILINE)


def test_a_connection_goes_on_while_it_ends(
        container: Container, connected: Callable[[], socket.socket]) -> None:
    connection = connected()
    codes: list[int] = []
    stopping = threading.Thread(target=lambda: codes.append(container.stop()))
    began = time.monotonic()
    stopping.start()
    until(lambda: "ends when no connection needs it" in container.log(), seconds=STOP_GRACE_S,
          what="the drain")
    assert answered(connection)
    stopping.join()
    assert codes == [0]
    assert STOP_GRACE_S <= time.monotonic() - began < GRACE_S


def left_behind(lab: Lab, folder: Path) -> tuple[str, list[str], str]:
    """What a run could leave: interfaces, files, huge pages in use."""
    interfaces = re.sub(r"promiscuity \d+", "", lab.proxy.run(["ip", "-brief", "link"]).stdout)
    files = sorted(str(path) for path in folder.rglob("*") if not path.is_dir())
    pages = re.findall(r"HugePages_\w+: .*", Path("/proc/meminfo").read_text())
    return interfaces, files, " ".join(pages)


def test_it_comes_back_under_traffic_and_leaves_nothing(
        container: Container, lab: Lab, flood: Flood) -> None:
    assert container.stop() == 0
    before = left_behind(lab, container.run)
    assert before[1] == []
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
            assert left_behind(lab, container.run) == before
    assert max(took) < BACK_S, took


def test_what_a_crash_has_left_is_removed(lab: Lab, image: str) -> None:
    left, kept = "synlab-1-abcdef-proxy-holder", f"synlab-{lab.id}-kept"
    for name in (left, kept):
        engine("create", "--name", name, "--network", "none", image)
    try:
        sweep()
        there = engine("ps", "--all", "--format", "{{.Names}}").split()
        assert kept in there
        assert left not in there
    finally:
        engine("rm", kept)
