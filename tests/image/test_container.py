"""The image at work between real stacks, driven by gRPC from outside."""

import os
import re
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from synproxy.v1 import services_service_pb2 as api
from synproxy.v1.services_service_pb2_grpc import ServicesServiceStub
from synproxy.v1.stats_service_pb2 import GetStatsRequest
from synproxy.v1.stats_service_pb2_grpc import StatsServiceStub

from appliance.lab.report import Report
from appliance.lab.topology import Lab
from appliance.lab.waiting import until

from .container import CALL_S, GRACE_S, METRICS, USER, Container, image_facts

Ask = Callable[[int], Report]
Flood = Callable[[], AbstractContextManager[None]]

REQUESTS = 500
BACK_S = 3
RESTARTS = int(os.environ.get("LAB_RESTARTS", "20"))
# linux/capability.h
BITS = {"NET_ADMIN": 12, "NET_RAW": 13, "IPC_LOCK": 14, "SYS_ADMIN": 21}


def counter(container: Container, name: str) -> int:
    with grpc.insecure_channel(container.address) as channel:
        stats = StatsServiceStub(channel).GetStats(GetStatsRequest(), timeout=CALL_S)
    return sum(worker.counters[name] for worker in stats.workers)


def metrics(lab: Lab) -> str:
    return lab.proxy.run(["curl", "--silent", "--fail", f"http://{METRICS}/metrics"]).stdout


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
    assert status["NoNewPrivs"] == "1"


@pytest.mark.usefixtures("huge_pages")
def test_rights_by_its_programs_file_are_enough(
        lab: Lab, image: str, driver: str, ask: Ask) -> None:
    with Container(lab, image, driver, by_file=True) as container:
        assert container.status()["CapAmb"].strip("0") == ""
        assert ask(REQUESTS).succeeded == REQUESTS
        assert counter(container, "cookie_valid") == REQUESTS


def test_a_service_is_changed_under_traffic_from_outside(
        container: Container, ask: Ask, flood: Flood) -> None:
    with flood(), grpc.insecure_channel(container.address) as channel:
        services = ServicesServiceStub(channel)
        (service,) = services.ListServices(api.ListServicesRequest(), timeout=CALL_S).services
        service.options.mss = 1300
        answer = services.UpdateService(api.UpdateServiceRequest(
            service=service, update_mask=FieldMask(paths=["options.mss"])), timeout=CALL_S)
        assert ask(REQUESTS).succeeded == REQUESTS
    assert answer.service.options.mss == 1300


def test_its_health_and_its_metrics_are_seen(
        container: Container, image: str, lab: Lab, ask: Ask) -> None:
    ask(REQUESTS)
    assert container.execute(*image_facts(image)["Healthcheck"]["Test"][1:])
    assert f'synproxy_service_cookie_valid_total{{service="lab"}} {REQUESTS}.0' in metrics(lab)


def test_sigterm_ends_it_within_its_grace_time(container: Container, ask: Ask) -> None:
    ask(REQUESTS)
    began = time.monotonic()
    assert container.stop() == 0
    assert time.monotonic() - began < GRACE_S
    assert re.search(rf"^cookie_valid +{REQUESTS}$", container.log(), re.MULTILINE)


def left_behind(lab: Lab, folder: Path) -> tuple[str, list[str], str]:
    """What a run could leave: interfaces, files, huge pages in use."""
    interfaces = re.sub(r"promiscuity \d+", "", lab.proxy.run(["ip", "-brief", "link"]).stdout)
    files = sorted(str(path) for path in folder.rglob("*") if not path.is_dir())
    pages = re.findall(r"HugePages_\w+: .*", Path("/proc/meminfo").read_text())
    return interfaces, files, " ".join(pages)


def test_it_comes_back_under_traffic_and_leaves_nothing(
        container: Container, lab: Lab, flood: Flood, ask: Ask) -> None:
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
            assert ask(10).succeeded == 10
            assert container.stop() == 0
            assert left_behind(lab, container.run) == before
    assert max(took) < BACK_S, took
